// The fold: events in, the state of a session out, by the server's own rules (docs/protocol.md, "Folding"). No DOM, no
// clock, no network, and nothing here throws for odd data. Records (a step, a text, …) are replaced, never changed in
// place, so that whoever shows them sees a change by identity.

import {
  added, ARTIFACT, count, error, isRecord, isString, label, LINE, list, number, object, omit, read, REQUEST, SESSION, small,
  STEP, text, TEXT, time, weigh, WEIGHTS,
} from "./fold-fields.js";

export const LIMITS = {
  max_steps: 500,
  max_texts: 4,
  max_text_chars: 8192,
  max_logs: 50,
  max_log_bytes: 32768,
  max_artifacts: 100,
  max_requests: 20,
  max_custom: 20,
  max_string_chars: 500,
  max_id_chars: 128,
  max_value_bytes: 4096,
  max_record_bytes: 159744,
  detail: false,
};

const EXACT = 2 ** 53; // up to here integers are

// The kinds of records, by what they are known by. Each kind has a shelf: a Map, in the order of their arrival.
const IDS = { steps: "step_id", artifacts: "artifact_id", requests: "request_id", custom: "", texts: "message_id" };

export const emptyState = (session_id, epoch) => read(SESSION, { session_id, epoch });

// Bounds

/** Adds, replaces or (undefined) removes a record. */
function set(model, kind, id, record) {
  const shelf = model.shelves[kind];
  const weightOf = (item) => (item === undefined ? 0 : (WEIGHTS[kind]?.(item) ?? 2 + weigh(id) + weigh(item)));
  const heavier = weightOf(record) - weightOf(shelf.get(id));
  model.weights[kind] += heavier;
  if (kind !== "logs") model.weight += heavier;
  if (record !== undefined) shelf.set(id, record);
  else if (!shelf.delete(id)) return;
  model.dirty.add(kind);
}

/** Sets a record, and lets the oldest go of what is too many, and then of the kind that weighs most. */
function put(model, kind, id, record) {
  const { shelves, weights, limits } = model;
  set(model, kind, id, record);
  if (shelves[kind].size > limits[`max_${kind}`]) drop(model, kind);
  while (model.weight > limits.max_record_bytes) {
    drop(model, Object.keys(IDS).reduce((most, other) => (weights[other] > weights[most] ? other : most)));
  }
}

const isOpen = ({ status }) => status === "running" || status === "planned";
const LIVE = { steps: isOpen, texts: ({ done }) => !done };

/** Of steps and texts the oldest that is over goes, if there is one. A step at the top leaves its share of progress. */
function drop(model, kind) {
  let [[id, record]] = model.shelves[kind];
  for (const entry of model.shelves[kind]) {
    if (LIVE[kind]?.(entry[1])) continue;
    [id, record] = entry;
    break;
  }
  set(model, kind, id);
  omit(model, kind);
  if (kind !== "steps" || record.parent_id !== null) return;
  const [weight, done] = shareOf(record);
  omit(model, "steps_weight", weight);
  omit(model, "steps_done", done);
}

/** Lines are known by a running number, so that the oldest is found at once however many have gone. */
function log(model, line) {
  const { shelves: { logs }, weights, limits } = model;
  set(model, "logs", model.lines++, line);
  while (logs.size > limits.max_logs || weights.logs > limits.max_log_bytes) {
    set(model, "logs", model.lines - logs.size);
    omit(model, "logs");
  }
}

/** Cuts the beginning of a text that is longer than so many times its bound. */
function trim(model, id, times) {
  const most = model.limits.max_text_chars;
  const known = model.shelves.texts.get(id);
  if (!isString(known?.text) || known.text.length <= times * most) return;
  // Not by an array of its characters: the last hundred thousand of a text may be asked for with every picture of a page.
  const pairs = known.text.match(/[^\0-\uffff]/gu) ?? [];
  const over = known.text.length - pairs.length - most;
  let start = 0;
  for (let chars = 0; chars < over; chars++) start += known.text.codePointAt(start) > 0xffff ? 2 : 1;
  if (start) set(model, "texts", id, { ...known, text: known.text.slice(start), cut: known.cut + over });
}

// Progress

/** A step's weight in overall progress and its share that is done: all of it after its end, nothing of an earlier attempt. */
function shareOf(step) {
  if (step.status === "interrupted") return [0, 0];
  const weight = Math.min(EXACT, Math.max(0, step.weight ?? 1));
  return [weight, isOpen(step) ? weight * (step.progress ?? 0) : weight];
}

function overallProgress({ now, shelves }) {
  let { steps_weight: total = 0, steps_done: done = 0 } = now.omitted;
  for (const step of shelves.steps.values()) {
    if (step.parent_id !== null) continue;
    const [weight, share] = shareOf(step);
    total += weight;
    done += share;
  }
  return total > 0 ? done / total : null;
}

// Rules

/** Changes a step that may still move. */
function move(model, { step_id }, change) {
  const step = model.shelves.steps.get(step_id);
  if (step && isOpen(step)) put(model, "steps", step_id, { ...step, ...change(step) });
}

/** How a step or a session ends. */
function ending(model, event, progress) {
  const status = event.type.split(".")[1];
  return {
    status,
    progress: status === "completed" ? 1 : progress,
    ended_at: time(event.time),
    error: error(event.error, model),
    ...(model.limits.detail && { reason: text(event.reason, model) }),
  };
}

const endStep = (model, event) => move(model, event, ({ progress }) => ending(model, event, progress));

/** Gives what is open a verdict, so that nothing spins for ever; what is planned is not interrupted, for it is still to come. */
function close(model, status, event) {
  const { steps, texts, requests } = model.shelves;
  for (const [id, step] of steps) {
    if (!isOpen(step) || (status === "interrupted" && step.status === "planned")) continue;
    set(model, "steps", id, { ...step, status, ended_at: time(event.time) });
  }
  for (const [id, known] of texts) if (!known.done) set(model, "texts", id, { ...known, done: true });
  for (const id of requests.keys()) set(model, "requests", id);
}

function end(model, event) {
  // As far as it came: what is closed below was not done.
  const changes = ending(model, event, overallProgress(model));
  close(model, changes.status, event);
  return { ...changes, result: event.result ?? null, result_bytes: count(event.result_bytes) };
}

const isEmpty = (value) => !value || (typeof value === "object" && !Object.keys(value).length);

function start(model, event) {
  const { now } = model;
  list(event.plan)?.forEach((planned, index) => {
    const step_id = isEmpty(planned?.step_id) ? `plan.${index}` : planned.step_id;
    if (!object(planned) || !isString(step_id) || model.shelves.steps.has(step_id)) return;
    put(model, "steps", step_id, { ...read(STEP, planned, model), step_id, status: "planned" });
  });
  const metadata = small("metadata", object)(event.metadata, model);
  return {
    status: "running",
    attempt: count(event.attempt) || 1,
    started_at: now.started_at || time(event.time),
    title: text(event.title, model) || now.title,
    metadata: isEmpty(metadata) ? now.metadata : metadata,
    error: null, // of the attempt before
  };
}

function grow(model, event) {
  let { usage } = model.now;
  for (const name of ["input_tokens", "output_tokens"]) usage = added(usage, name, count(event[name]), EXACT);
  if (number(event.cost) === null) return { usage };
  const costs = added(usage.costs, label(event.currency, model) ?? "", event.cost, EXACT);
  const [before, after] = [usage.costs, costs].map((sums) => Object.keys(sums).length);
  if (after === before || after <= model.limits.max_custom) return { usage: { ...usage, costs } };
  omit(model, "costs");
  return { usage };
}

// By type: what is done, which gives back what changes of the session itself; and the strings without which nothing is.
const RULES = new Map(Object.entries({
  "session.started": [start],
  "session.waiting": [() => ({ status: "waiting" })],
  // Whoever was to end what is open has gone.
  "session.resumed": [(model, event) => {
    close(model, "interrupted", event);
    return { status: "running" };
  }],
  "session.retrying": [(model, event) => {
    close(model, "interrupted", event);
    return { status: "pending", attempt: count(event.attempt) || model.now.attempt, error: error(event.error, model) };
  }],
  "session.completed": [end],
  "session.failed": [end],
  "session.cancelled": [end],
  "session.lost": [end],
  "cancel.requested": [() => ({ cancel_requested: true })],
  "step.started": [(model, event) => {
    const known = model.shelves.steps.get(event.step_id);
    if (known?.status === "running") return;
    // One that was planned, or is of an earlier attempt, is begun at its place and keeps its planned weight.
    const step = { ...read(STEP, event, model), status: "running", started_at: time(event.time) };
    step.weight ??= known?.weight ?? null;
    put(model, "steps", event.step_id, step);
  }, "step_id", "name"],
  "step.progress": [(model, event) => move(model, event, (step) => {
    const current = number(event.current) ?? step.current;
    const total = number(event.total) ?? step.total;
    const progress = current !== null && total > 0 ? Math.min(1, Math.max(0, current / total)) : null;
    return { current, total, progress, message: text(event.message, model) ?? step.message };
  }), "step_id"],
  "step.completed": [endStep, "step_id"],
  "step.failed": [endStep, "step_id"],
  "step.cancelled": [endStep, "step_id"],
  "text.delta": [(model, event) => {
    const { message_id, delta } = event;
    const known = model.shelves.texts.get(message_id) ?? read(TEXT, event, model);
    if (known.done) return;
    put(model, "texts", message_id, { ...known, text: known.text + delta });
    // At some times its bound, and when it is asked for: so a long text is not written anew with every token.
    trim(model, message_id, 4);
  }, "message_id", "delta"],
  "text.completed": [(model, { message_id }) => {
    const known = model.shelves.texts.get(message_id);
    if (known) set(model, "texts", message_id, { ...known, done: true });
  }, "message_id"],
  "log.message": [(model, event) => {
    log(model, { ...read(LINE, event, model), ...(model.limits.detail && { fields: object(event.fields) }) });
  }],
  "artifact.created": [(model, event) => {
    set(model, "artifacts", event.artifact_id); // it comes anew, at the end
    put(model, "artifacts", event.artifact_id, read(ARTIFACT, event, model));
  }, "artifact_id", "name", "media_type"],
  "input.requested": [(model, event) => {
    put(model, "requests", event.request_id, read(REQUEST, event, model));
  }, "request_id", "prompt"],
  "input.resolved": [(model, event) => set(model, "requests", event.request_id), "request_id"],
  "usage.reported": [grow],
  "custom.emitted": [(model, event) => {
    const name = text(event.name, model);
    set(model, "custom", name);
    put(model, "custom", name, small("custom_data")(event.data, model));
  }, "name"],
}));

const hasEnded = ({ now }) => RULES.get(`session.${now.status}`)?.[0] === end;

export class Fold {
  #model;
  #state; // as it was handed out, until something is applied

  constructor(state, limits) {
    const bounds = { ...LIMITS, ...limits };
    this.#model = { limits: bounds, shelves: { logs: new Map() }, weights: { logs: 0 }, lines: 0, dirty: new Set() };
    this.jump(state);
  }

  get state() {
    const model = this.#model;
    const { now, shelves, dirty } = model;
    if (this.#state) return this.#state;
    for (const id of shelves.texts.keys()) trim(model, id, 1);
    if (dirty.has("steps") && !hasEnded(model)) now.progress = overallProgress(model);
    for (const kind of dirty) now[kind] = kind === "custom" ? Object.fromEntries(shelves.custom) : [...shelves[kind].values()];
    dirty.clear();
    return (this.#state = { ...now });
  }

  apply(event) {
    const model = this.#model;
    const [rule, ...needs] = RULES.get(event?.type) ?? [];
    model.now.seq = count(event?.seq) ?? model.now.seq;
    this.#state = null;
    if (!rule || hasEnded(model) || !needs.every((name) => isString(event[name]))) return;
    Object.assign(model.now, rule(model, event));
  }

  jump(state) {
    const model = this.#model;
    const { logs } = model.shelves;
    const now = (model.now = { ...object(state), ...read(SESSION, object(state) ?? {}) });
    this.#state = null;
    model.weight = 0;
    for (const kind of Object.keys(IDS)) {
      model.weights[kind] = 0;
      model.shelves[kind] = new Map();
    }
    for (const [kind, id] of Object.entries(IDS)) {
      for (const [name, record] of Object.entries(now[kind])) {
        if (!id) put(model, kind, name, record);
        else if (isRecord(record) && isString(record[id])) put(model, kind, record[id], record);
      }
    }
    // Lines that are here already stay, and some that the server let go may be here.
    const all = now.logs.length + (now.omitted.logs ?? 0);
    const newest = [...logs.values()].at(-1)?.seq ?? 0;
    for (const line of now.logs) if (isRecord(line) && !(line.seq <= newest)) log(model, line);
    const missing = Math.max(0, all - logs.size) - (now.omitted.logs ?? 0);
    if (missing) omit(model, "logs", missing);
    // What needed no repair stays the same object.
    for (const [kind, shelf] of Object.entries(model.shelves)) {
      const given = Object.values(now[kind]);
      const isSame = shelf.size === given.length && [...shelf.values()].every((record, index) => record === given[index]);
      model.dirty[isSame ? "delete" : "add"](kind);
    }
  }
}

export function fold(state, event, limits) {
  const folded = new Fold(state, limits);
  folded.apply(event);
  return folded.state;
}
