// The fold: events and snapshots in, one state out, by the server's own rules. No DOM, no clock, no network, and nothing
// here throws for odd data. Records (a step, a text, …) are replaced, never changed in place, so that a renderer sees a
// change by identity. Bounds are wider than the server's: a page that saw the detail need not forget it.

const KEEP = { steps: 1000, texts: 12, textChars: 32768, logs: 1000, artifacts: 200, requests: 50, custom: 50 };
const ENDED = new Set(["completed", "failed", "cancelled", "lost"]);
const OPEN = new Set(["planned", "running"]);

function emptyState() {
  return {
    status: null, attempt: 1, title: null, metadata: {}, started_at: null, ended_at: null, progress: null,
    result: null, result_bytes: null, error: null, reason: null, retry_at: null, cancel_requested: false,
    steps: new Map(), texts: new Map(), artifacts: new Map(), requests: new Map(), custom: new Map(), usage: { costs: {} },
    log: { rows: [], count: 0, notes: 0 }, omitted: {},
  };
}

const list = (value) => (Array.isArray(value) ? value : []);
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
  state.omitted = snapshot.omitted ?? {};
  if (previous) state.log = previous.log;
  const newest = state.log.rows.reduce((seq, row) => Math.max(seq, row.seq ?? 0), 0);
  for (const row of list(snapshot.logs)) if (!(row.seq <= newest)) addLog(state, row);
  return state;
}

function fold(state, event) {
  RULES.get(event.type)?.(state, event);
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

function started(state, event) {
  state.status = "running";
  state.title = event.title ?? state.title;
  state.metadata = event.metadata ?? state.metadata;
  state.attempt = event.attempt ?? 1;
  state.started_at ??= event.time;
  list(event.plan).forEach((step, index) => {
    const step_id = step.step_id ?? `plan.${index}`;
    if (!state.steps.has(step_id)) addStep(state, { ...step, step_id, status: "planned" });
  });
}

function retrying(state, event) {
  state.status = "pending";
  state.attempt = event.attempt ?? state.attempt;
  state.error = event.error ?? null;
  state.retry_at = event.retry_at ?? null;
  closeOpen(state, "interrupted", event.time, true);
}

function ended(status) {
  return (state, event) => {
    state.status = status;
    state.ended_at = event.time;
    state.result = event.result ?? null;
    state.result_bytes = event.result_bytes ?? null;
    state.error = event.error ?? null;
    state.reason = event.reason ?? null;
    state.last_seen = event.last_seen ?? null;
    closeOpen(state, status, event.time, false);
  };
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

function stepStarted(state, { step_id, parent_id, kind, name, total, unit, weight, time }) {
  const known = state.steps.get(step_id);
  if (known?.status === "running") return;
  // One that was planned, or belongs to an interrupted attempt, is begun at its place and keeps its planned weight.
  weight ??= known?.weight;
  addStep(state, { step_id, parent_id, kind, name, total, unit, weight, status: "running", started_at: time });
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
  const omitted = { ...state.omitted };
  const count = (name, by) => { omitted[name] = (omitted[name] ?? 0) + by; };
  count("steps", 1);
  if (victim.parent_id == null) {
    count("steps_weight", weightOf(victim));
    count("steps_done", weightOf(victim) * shareDone(victim, false));
  }
  state.omitted = omitted;
}

function stepProgress(state, event) {
  const step = state.steps.get(event.step_id);
  if (!OPEN.has(step?.status)) return;
  const current = event.current ?? step.current;
  const total = event.total ?? step.total;
  state.steps.set(event.step_id, {
    ...step, current, total, message: event.message ?? step.message, progress: ratio(current, total),
  });
}

function stepEnded(status) {
  return (state, event) => {
    const step = state.steps.get(event.step_id);
    if (!OPEN.has(step?.status)) return;
    const { time, error = null, reason = step.message } = event;
    state.steps.set(event.step_id, { ...step, status, error, message: reason, ended_at: time });
  };
}

function ratio(current, total) {
  return total > 0 && Number.isFinite(current) ? Math.min(1, Math.max(0, current / total)) : null;
}

function textDelta(state, event) {
  const known = state.texts.get(event.message_id) ?? { text: "" };
  if (known.done) return;
  const { message_id, role = known.role, channel = known.channel, step_id = known.step_id } = event;
  let text = known.text + (event.delta ?? "");
  let cut = known.cut ?? false;
  if (text.length > 2 * KEEP.textChars) {
    // Half at a time, so that a long stream is not rewritten on every token; the pattern drops half a surrogate pair.
    text = text.slice(-KEEP.textChars).replace(/^[\uDC00-\uDFFF]/, "");
    cut = true;
  }
  state.texts.set(message_id, { message_id, role, channel, step_id, text, cut, done: false });
  dropOldest(state.texts, KEEP.texts);
}

function textCompleted(state, event) {
  const text = state.texts.get(event.message_id);
  if (text) state.texts.set(event.message_id, { ...text, done: true });
}

function usageReported(state, { input_tokens, output_tokens, cost, currency = "" }) {
  const { costs = {}, ...tokens } = state.usage;
  const sum = (value, more) => (value ?? 0) + (Number.isFinite(more) ? more : 0);
  const isCost = Number.isFinite(cost);
  state.usage = {
    input_tokens: sum(tokens.input_tokens, input_tokens),
    output_tokens: sum(tokens.output_tokens, output_tokens),
    costs: isCost ? { ...costs, [currency]: sum(costs[currency], cost) } : costs,
  };
}

function remember(part, key, keep) {
  return (state, event) => {
    state[part].set(event[key], event);
    dropOldest(state[part], keep);
  };
}

function customEmitted(state, event) {
  state.custom = new Map(state.custom).set(event.name, event.data);
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
  "session.resumed": (state) => { state.status = "running"; },
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
  "log.message": addLog,
  "artifact.created": remember("artifacts", "artifact_id", KEEP.artifacts),
  "usage.reported": usageReported,
  "input.requested": remember("requests", "request_id", KEEP.requests),
  "input.resolved": (state, event) => { state.requests.delete(event.request_id); },
  "cancel.requested": (state) => { state.cancel_requested = true; },
  "events.dropped": eventsDropped,
  "custom.emitted": customEmitted,
}));

const weightOf = (step) => Math.max(0, step.weight ?? 1);

/** How far a step is, 0 to 1. What has ended is done, unless the session broke: then it is as far as it came. */
function shareDone(step, isBroken) {
  if (step.status === "completed") return 1;
  return OPEN.has(step.status) || isBroken ? step.progress ?? 0 : 1;
}

/** The weighted mean over planned and known top-level steps, or null when there are none. */
function overallProgress(state) {
  if (state.status === "completed") return 1;
  let weights = state.omitted.steps_weight ?? 0;
  let done = state.omitted.steps_done ?? 0;
  for (const step of state.steps.values()) {
    if (step.parent_id != null) continue;
    weights += weightOf(step);
    done += weightOf(step) * shareDone(step, ENDED.has(state.status));
  }
  return weights > 0 ? done / weights : null;
}
