// The fold: events and snapshots in, one state out, by the server's own rules. No DOM, no clock, no network, and nothing
// here throws for odd data. Records (a step, a text, …) are replaced, never changed in place, so that a renderer sees a
// change by identity. Bounds are wider than the server's: a page that saw the detail need not forget it.

const KEEP = { steps: 1000, texts: 12, textChars: 32768, logs: 1000, artifacts: 200, requests: 50, custom: 50 };
const EXACT = 2 ** 53; // up to here integers are
const TIME_CHARS = 24;
const ENDED = new Set(["completed", "failed", "cancelled", "lost"]);
const OPEN = new Set(["planned", "running"]);

function emptyState() {
  return {
    status: null, attempt: 1, title: null, metadata: null, started_at: null, ended_at: null, progress: null,
    result: null, result_bytes: null, error: null, reason: null, retry_at: null, cancel_requested: false,
    steps: new Map(), texts: new Map(), artifacts: new Map(), requests: new Map(), custom: new Map(), usage: { costs: {} },
    log: { rows: [], count: 0, notes: 0 }, omitted: {},
  };
}

// A field of the wrong type is as good as absent; without a field that it needs, an event is ignored.
const list = (value) => (Array.isArray(value) ? value : []);
const isString = (value) => typeof value === "string";
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const stringOf = (value) => (isString(value) ? value : null);
const numberOf = (value) => (Number.isFinite(value) ? value : null);
const countOf = (value) => (Number.isInteger(value) ? value : null);
const timeOf = (value) => (isString(value) && value.length <= TIME_CHARS ? value : null);
const exact = (value) => Math.max(-EXACT, Math.min(EXACT, value));
const keyed = (records, key) => new Map(list(records).map((record) => [record[key], record]));

/** The state of a snapshot. `previous` is ours of the same epoch, whose longer log is kept; null otherwise. */
function stateFromSnapshot(snapshot, previous) {
  const state = Object.assign(emptyState(), snapshot);
  state.steps = keyed(snapshot.steps, "step_id");
  state.texts = keyed(snapshot.texts, "message_id");
  state.artifacts = keyed(snapshot.artifacts, "artifact_id");
  state.requests = keyed(snapshot.requests, "request_id");
  state.custom = new Map(Object.entries(snapshot.custom ?? {}));
  state.usage = snapshot.usage ?? { costs: {} };
  if (previous) state.log = previous.log;
  const newest = state.log.rows.reduce((seq, row) => Math.max(seq, row.seq ?? 0), 0);
  for (const row of list(snapshot.logs)) if (!(row.seq <= newest)) addLog(state, row);
  // Of the messages that the server let go, the page may have some.
  const logs = list(snapshot.logs).length + (snapshot.omitted?.logs ?? 0) - (state.log.count - state.log.notes);
  state.omitted = { ...snapshot.omitted, logs: Math.max(0, logs) };
  return state;
}

function fold(state, event) {
  if (!ENDED.has(state.status)) RULES.get(event.type)?.(state, event);
}

function countOmitted(state, name, by = 1) {
  state.omitted = { ...state.omitted, [name]: (state.omitted[name] ?? 0) + by };
}

function logMessage(state, { seq, time, level, message, step_id, logger, fields }) {
  addLog(state, {
    seq, time: timeOf(time), level: stringOf(level) || "info", message: stringOf(message) ?? "", step_id: stringOf(step_id),
    logger: stringOf(logger), fields: isObject(fields) ? fields : null,
  });
}

function addLog(state, row) {
  state.log.rows.push(row);
  state.log.count += 1;
  if (state.log.rows.length > KEEP.logs) state.log.rows.shift();
}

/** A remark of ours among the messages: something is missing, and here. */
function addNote(state, message, seq) {
  addLog(state, { note: true, level: "warning", message, seq });
  state.log.notes += 1;
}

function started(state, { title, metadata, attempt, time, plan }) {
  state.status = "running";
  state.title = stringOf(title) || state.title;
  if (isObject(metadata) && Object.keys(metadata).length) state.metadata = metadata;
  state.attempt = countOf(attempt) || 1;
  state.started_at ||= timeOf(time);
  state.error = state.retry_at = null; // of the attempt before
  list(plan).forEach((planned, index) => {
    if (!isObject(planned)) return;
    const step_id = planned.step_id || `plan.${index}`;
    if (isString(step_id) && !state.steps.has(step_id)) addStep(state, newStep({ ...planned, step_id, time: null }, "planned"));
  });
}

/** Whoever was to end what is open has gone; what is planned is still to come. */
function resumed(state, event) {
  state.status = "running";
  closeOpen(state, "interrupted", timeOf(event.time), true);
}

function retrying(state, event) {
  state.status = "pending";
  state.attempt = countOf(event.attempt) || state.attempt;
  state.error = errorOf(event);
  state.retry_at = timeOf(event.retry_at);
  closeOpen(state, "interrupted", timeOf(event.time), true);
}

function ended(status) {
  return (state, event) => {
    // As far as it came: what is closed below was not done.
    state.progress = status === "completed" ? 1 : overallProgress(state);
    state.status = status;
    state.ended_at = timeOf(event.time);
    state.result = event.result ?? null;
    state.result_bytes = countOf(event.result_bytes);
    state.error = errorOf(event);
    state.reason = stringOf(event.reason);
    state.last_seen = timeOf(event.last_seen);
    closeOpen(state, status, state.ended_at, false);
  };
}

function errorOf({ error }) {
  if (!isObject(error)) return null;
  const { code, message, retryable, detail = null } = error;
  return { code: stringOf(code) || "error", message: stringOf(message) ?? "", retryable: retryable === true, detail };
}

/** What is still open takes the session's own verdict, so that nothing spins for ever. */
function closeOpen(state, status, time, keepPlanned) {
  for (const [id, step] of state.steps) {
    if (!OPEN.has(step.status) || (keepPlanned && step.status === "planned")) continue;
    state.steps.set(id, { ...step, status, ended_at: time });
  }
  for (const [id, text] of state.texts) if (!text.done) state.texts.set(id, { ...text, done: true });
  state.requests.clear();
}

function newStep({ step_id, parent_id, kind, name, total, unit, weight, time }, status) {
  return {
    step_id, parent_id: stringOf(parent_id), kind: stringOf(kind) || "step", name: stringOf(name) ?? "", status,
    current: null, total: numberOf(total), unit: stringOf(unit), weight: numberOf(weight), message: null, progress: null,
    started_at: timeOf(time), ended_at: null, error: null,
  };
}

function stepStarted(state, event) {
  const known = state.steps.get(event.step_id);
  if (!isString(event.step_id) || !isString(event.name) || known?.status === "running") return;
  // One that was planned, or belongs to an earlier attempt, is begun at its place and keeps its planned weight.
  const step = newStep(event, "running");
  step.weight ??= known?.weight ?? null;
  addStep(state, step);
}

function addStep(state, step) {
  state.steps.set(step.step_id, step);
  if (state.steps.size > KEEP.steps) dropStep(state);
}

/** The oldest ended step, else the oldest, is forgotten; a top-level one leaves its share of progress. */
function dropStep(state) {
  const steps = [...state.steps.values()];
  const victim = steps.find((step) => !OPEN.has(step.status)) ?? steps[0];
  state.steps.delete(victim.step_id);
  countOmitted(state, "steps");
  if (victim.parent_id !== null) return;
  const [weight, done] = shareOf(victim);
  countOmitted(state, "steps_weight", weight);
  countOmitted(state, "steps_done", done);
}

function stepProgress(state, event) {
  const step = state.steps.get(event.step_id);
  if (!OPEN.has(step?.status)) return;
  const current = numberOf(event.current) ?? step.current;
  const total = numberOf(event.total) ?? step.total;
  const message = stringOf(event.message) ?? step.message;
  state.steps.set(event.step_id, { ...step, current, total, message, progress: ratio(current, total) });
}

function stepEnded(status) {
  return (state, event) => {
    const step = state.steps.get(event.step_id);
    if (!OPEN.has(step?.status)) return;
    const progress = status === "completed" ? 1 : step.progress;
    const reason = stringOf(event.reason);
    state.steps.set(event.step_id, { ...step, status, progress, reason, error: errorOf(event), ended_at: timeOf(event.time) });
  };
}

function ratio(current, total) {
  return current !== null && total > 0 ? Math.min(1, Math.max(0, current / total)) : null;
}

function textDelta(state, { message_id, delta, role, channel, step_id }) {
  if (!isString(message_id) || !isString(delta)) return;
  let known = state.texts.get(message_id);
  if (!known) {
    known = { message_id, role: stringOf(role), channel: stringOf(channel), step_id: stringOf(step_id) };
    Object.assign(known, { text: "", cut: 0, done: false });
    state.texts.set(message_id, known);
    if (state.texts.size > KEEP.texts) {
      const victim = [...state.texts.values()].find((text) => text.done) ?? state.texts.values().next().value;
      state.texts.delete(victim.message_id);
    }
  }
  if (known.done) return;
  let text = known.text + delta;
  let cut = known.cut;
  if (text.length > 2 * KEEP.textChars) {
    // Half at a time, so that a long stream is not rewritten on every token; the pattern drops half a surrogate pair.
    const end = text.slice(-KEEP.textChars).replace(/^[\uDC00-\uDFFF]/, "");
    cut += [...text.slice(0, -end.length)].length;
    text = end;
  }
  state.texts.set(message_id, { ...known, text, cut });
}

function textCompleted(state, event) {
  const text = state.texts.get(event.message_id);
  if (text) state.texts.set(event.message_id, { ...text, done: true });
}

function usageReported(state, { input_tokens, output_tokens, cost, currency }) {
  const usage = { ...state.usage };
  usage.input_tokens = exact((usage.input_tokens ?? 0) + (countOf(input_tokens) ?? 0));
  usage.output_tokens = exact((usage.output_tokens ?? 0) + (countOf(output_tokens) ?? 0));
  state.usage = usage;
  if (numberOf(cost) === null) return;
  const key = stringOf(currency) ?? "";
  const isKnown = Object.hasOwn(usage.costs, key);
  if (!isKnown && Object.keys(usage.costs).length >= KEEP.custom) return;
  usage.costs = { ...usage.costs, [key]: exact((isKnown ? usage.costs[key] : 0) + cost) };
}

function artifactCreated(state, { artifact_id, name, media_type, url, data = null, step_id }) {
  if (![artifact_id, name, media_type].every(isString)) return;
  state.artifacts.delete(artifact_id);
  state.artifacts.set(artifact_id, { artifact_id, name, media_type, url: stringOf(url), data, step_id: stringOf(step_id) });
  dropOldest(state.artifacts, KEEP.artifacts);
}

function inputRequested(state, { request_id, prompt, schema, expires_at }) {
  if (!isString(request_id) || !isString(prompt)) return;
  schema = isObject(schema) ? schema : null;
  state.requests.set(request_id, { request_id, prompt, schema, expires_at: timeOf(expires_at) });
  dropOldest(state.requests, KEEP.requests);
}

function customEmitted(state, { name, data = null }) {
  if (!isString(name)) return;
  state.custom = new Map(state.custom);
  state.custom.delete(name);
  state.custom.set(name, data);
  dropOldest(state.custom, KEEP.custom);
}

function dropOldest(map, keep) {
  while (map.size > keep) map.delete(map.keys().next().value);
}

function eventsDropped(state, event) {
  const kinds = Object.entries(event.by_type ?? {}).map(([type, count]) => `${count} × ${type}`);
  addNote(state, `The producer had to drop events: ${kinds.join(", ") || "unknown"}.`, event.seq);
}

const RULES = new Map(Object.entries({
  "session.started": started,
  "session.waiting": (state) => { state.status = "waiting"; },
  "session.resumed": resumed,
  "session.retrying": retrying,
  "session.completed": ended("completed"),
  "session.failed": ended("failed"),
  "session.cancelled": ended("cancelled"),
  "session.lost": ended("lost"),
  "step.started": stepStarted,
  "step.progress": stepProgress,
  "step.completed": stepEnded("completed"),
  "step.failed": stepEnded("failed"),
  "step.cancelled": stepEnded("cancelled"),
  "text.delta": textDelta,
  "text.completed": textCompleted,
  "log.message": logMessage,
  "artifact.created": artifactCreated,
  "usage.reported": usageReported,
  "input.requested": inputRequested,
  "input.resolved": (state, event) => { state.requests.delete(event.request_id); },
  "cancel.requested": (state) => { state.cancel_requested = true; },
  "events.dropped": eventsDropped,
  "custom.emitted": customEmitted,
}));

/** A step's weight in overall progress and its share that is done: all of it after its end, nothing of an earlier attempt. */
function shareOf(step) {
  if (step.status === "interrupted") return [0, 0];
  const weight = Math.min(EXACT, Math.max(0, step.weight ?? 1));
  return [weight, OPEN.has(step.status) ? weight * (step.progress ?? 0) : weight];
}

/** The weighted mean over planned and known top-level steps, or null when there are none; after the end, as it was then. */
function overallProgress(state) {
  if (ENDED.has(state.status)) return state.progress;
  let total = state.omitted.steps_weight ?? 0;
  let done = state.omitted.steps_done ?? 0;
  for (const step of state.steps.values()) {
    if (step.parent_id !== null) continue;
    const [weight, share] = shareOf(step);
    total += weight;
    done += share;
  }
  return total > 0 ? done / total : null;
}
