// The fold: events and snapshots in, one state out. No DOM, no clock, no network, and nothing here throws for odd data.
// Records (a step, a text, …) are replaced, never changed in place, so that a renderer sees a change by identity.

const KEEP = { steps: 1000, texts: 12, textChars: 32768, logs: 1000, artifacts: 200, requests: 50, custom: 50 };
const ENDED = new Set(["completed", "failed", "cancelled", "lost"]);
const OPEN = new Set(["pending", "running"]);

function emptyState() {
  return {
    status: null, attempt: 1, title: null, metadata: {}, started_at: null, ended_at: null, progress: null,
    result: null, result_bytes: null, error: null, reason: null, retry: null, cancel_requested: false,
    steps: new Map(), texts: new Map(), artifacts: new Map(), requests: new Map(), custom: new Map(), usage: {},
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
  state.usage = snapshot.usage ?? {};
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
  state.attempt = event.attempt ?? state.attempt;
  state.started_at ??= event.time;
  state.retry = null;
  list(event.plan).forEach((step, index) => {
    const step_id = step.step_id ?? `plan-${index}`;
    if (!state.steps.has(step_id)) state.steps.set(step_id, { ...step, step_id, status: "pending" });
  });
}

function ended(status) {
  return (state, event) => {
    state.progress = status === "completed" ? 1 : overallProgress(state); // as far as it came
    state.status = status;
    state.ended_at = event.time;
    state.result = event.result ?? null;
    state.result_bytes = event.result_bytes ?? null;
    state.error = event.error ?? null;
    state.reason = event.reason ?? null;
    state.last_seen = event.last_seen ?? null;
    closeAll(state, status, event.time);
  };
}

/** Nothing stays open after the end: a step that ran takes the verdict, one that was only planned was skipped. */
function closeAll(state, status, time) {
  for (const [id, step] of state.steps) {
    if (step.status === "running") state.steps.set(id, { ...step, status, ended_at: time });
    else if (OPEN.has(step.status)) state.steps.set(id, { ...step, status: "skipped" });
  }
  for (const [id, text] of state.texts) if (!text.done) state.texts.set(id, { ...text, done: true });
  state.requests.clear();
}

function stepStarted(state, event) {
  const known = state.steps.get(event.step_id);
  if (known && known.status !== "pending") return;
  const planned = known ?? plannedAs(state, event);
  const { type, seq, time, input, ...fields } = event;
  const step = { ...planned, ...fields, status: "running", started_at: time };
  if (planned && !known) {
    // Rebuilt, because the step takes the planned one's place in the order, and its row on the page.
    step.row_key = planned.row_key ?? planned.step_id;
    state.steps = new Map([...state.steps].map(([id, other]) => (other === planned ? [event.step_id, step] : [id, other])));
  } else {
    state.steps.set(event.step_id, step);
  }
  if (state.steps.size > KEEP.steps) dropStep(state);
}

function plannedAs(state, event) {
  if (event.parent_id != null) return undefined;
  for (const step of state.steps.values()) if (step.status === "pending" && step.name === event.name) return step;
  return undefined;
}

function dropStep(state) {
  let victim = state.steps.keys().next().value;
  for (const [id, step] of state.steps) {
    if (OPEN.has(step.status)) continue;
    victim = id;
    break;
  }
  state.steps.delete(victim);
  state.omitted = { ...state.omitted, steps: (state.omitted.steps ?? 0) + 1 };
}

function stepProgress(state, event) {
  const step = state.steps.get(event.step_id);
  if (step?.status !== "running") return;
  const { current, total, message } = event;
  state.steps.set(event.step_id, {
    ...step, current: current ?? step.current, total: total ?? step.total, message: message ?? step.message, progress: null,
  });
}

function stepEnded(status) {
  return (state, event) => {
    const step = state.steps.get(event.step_id);
    if (!step || !OPEN.has(step.status)) return;
    const message = event.reason ?? step.message;
    state.steps.set(event.step_id, { ...step, status, message, ended_at: event.time, error: event.error ?? null });
  };
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

function usageReported(state, event) {
  const usage = { ...state.usage };
  const add = (key) => { if (Number.isFinite(event[key])) usage[key] = (usage[key] ?? 0) + event[key]; };
  add("input_tokens");
  add("output_tokens");
  usage.currency ??= event.currency;
  // A sum over two currencies would be a wrong number, so only the first one is added up.
  if ((event.currency ?? usage.currency) === usage.currency) add("cost");
  state.usage = usage;
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
  "session.retrying": (state, event) => { state.status = "pending"; state.retry = event; },
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

/** How far a step is, 0 to 1, or null when nothing says so: its own count, else its children's mean. */
function shareDone(step, children) {
  if (!OPEN.has(step.status)) return 1;
  if (step.total > 0) return Math.min(1, Math.max(0, (step.current ?? 0) / step.total));
  return step.progress ?? meanDone(children.get(step.step_id) ?? [], children);
}

function meanDone(steps, children) {
  let done = 0;
  let weights = 0;
  let known = false;
  for (const step of steps) {
    const share = shareDone(step, children);
    const weight = step.weight > 0 ? step.weight : 1;
    known ||= share !== null || step.status === "pending";
    done += weight * (share ?? 0);
    weights += weight;
  }
  return known ? done / weights : null;
}

/** The weighted mean over top-level steps; null when unknown. A snapshot's own figure is a floor: it knew omitted steps. */
function overallProgress(state) {
  if (ENDED.has(state.status)) return state.progress;
  const children = new Map();
  for (const step of state.steps.values()) {
    const parent = state.steps.has(step.parent_id) ? step.parent_id : null;
    if (children.has(parent)) children.get(parent).push(step);
    else children.set(parent, [step]);
  }
  const mean = meanDone(children.get(null) ?? [], children);
  return mean === null ? state.progress : Math.max(mean, state.progress ?? 0);
}
