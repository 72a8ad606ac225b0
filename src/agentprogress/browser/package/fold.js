// The fold: events in, the state of a session out, by the server's own rules (docs/protocol.md, "Folding"). No DOM, no
// clock, no network, and nothing here throws for odd data. Records (a step, a text, …) are replaced, never changed in
// place, so that whoever shows them sees a change by identity.

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
const TIME_CHARS = 24;

const within = (least, value) => Math.min(EXACT, Math.max(least, value));

/** The first code points of a text: a copy, because a slice would keep the whole of it in memory. */
const clip = (text, chars) => (text.length > chars ? [...text.slice(0, 2 * chars)].slice(0, chars).join("") : text);

/** The value, or the other one where it is null or empty. */
const or = (value, other) => (value && (typeof value !== "object" || Object.keys(value).length) ? value : other);

// Readers: what is of the wrong type is as good as absent, which is null.

const only = (isFit) => (value) => (isFit(value) ? value : null);
const isString = (value) => typeof value === "string";
const string = only(isString);
const number = only(Number.isFinite);
const count = only(Number.isInteger);
const list = only(Array.isArray);
const object = only((value) => typeof value === "object" && !Array.isArray(value));
const numbers = only((value) => object(value) && Object.values(value).every(Number.isFinite));
const usage = only((value) => object(value) && numbers(value.costs) && numbers({ ...value, costs: 0 }));
const time = only((value) => isString(value) && value === clip(value, TIME_CHARS));
const flag = (value) => value === true;
const upTo = (bound) => (value, { limits }) => string(value) && clip(value, limits[bound]);
const text = upTo("max_string_chars");
const label = upTo("max_id_chars");
const nothing = () => null;
/** Whether it is made of plain values, but for what may be anything. */
const isRecord = (value) =>
  object(value) && Object.entries(value).every(([name, item]) => Object(item) !== item || /^(error|data|schema|fields)$/.test(name));
const but = (other, reader) => (value, model) => reader(value, model) || other;

/** A free value, if it is small enough for a state. */
const small = (name, reader) => (value = null, model) => {
  if (reader?.(value) === null) return null;
  return weigh(value) > model.limits.max_value_bytes ? omit(model, name) : value;
};

const read = (shape, source, model) => Object.fromEntries(Object.entries(shape).map(([name, reader]) => [name, reader(source[name], model)]));

const ERROR = { code: but("error", label), message: but("", text), retryable: flag, detail: small("error_details") };
const error = (value, model) => object(value) && read(ERROR, value, model);

const STEP = {
  step_id: string, parent_id: string, kind: but("step", text), name: but("", text), status: nothing, current: nothing, total: number,
  unit: text, weight: number, message: nothing, progress: nothing, started_at: nothing, ended_at: nothing, error: nothing,
};
const TEXT = { message_id: string, role: label, channel: label, step_id: label };
const LINE = { seq: count, time, level: but("info", text), message: but("", text), step_id: text, logger: text };
const ARTIFACT = {
  artifact_id: string, name: text, media_type: text, url: small("artifact_urls", string), data: small("artifact_data"), step_id: text,
};
const REQUEST = { request_id: string, prompt: text, schema: small("schemas", object), expires_at: time };
const SESSION = {
  session_id: but("", string), epoch: but("", string), seq: but(0, count), status: but("pending", string), attempt: but(1, count),
  title: string, metadata: object, started_at: string, ended_at: string, progress: number, result: (value) => value ?? null,
  result_bytes: count, error: object, cancel_requested: flag, steps: but([], list), texts: but([], list), logs: but([], list),
  artifacts: but([], list), requests: but([], list), usage: but({ input_tokens: 0, output_tokens: 0, costs: {} }, usage),
  custom: but({}, object), omitted: but({}, numbers),
};
const IDS = { steps: "step_id", artifacts: "artifact_id", requests: "request_id", custom: 0, texts: "message_id", logs: 0 };

export const emptyState = (session_id, epoch) => read(SESSION, { session_id, epoch });

// Weights: upper bounds of the bytes in JSON, the same in every language because numbers count as the longest.

/** Not recursive: data may be deep. */
function weigh(value) {
  let weight = 0;
  for (const rest = [value]; rest.length; ) {
    const item = rest.pop();
    if (isString(item)) weight += new TextEncoder().encode(JSON.stringify(item)).length;
    else if (typeof item === "number") weight += 24;
    else if (!item || item === true) weight += 5;
    else {
      weight += 2;
      for (const [key, inner] of Object.entries(item)) {
        weight += list(item) ? 1 : 2 + weigh(key);
        rest.push(inner);
      }
    }
  }
  return weight;
}

/** The weights of what a record may have or not, less so much for each. */
const weighRest = (record, known, less) =>
  Object.entries(record).reduce((sum, [name, value]) => (value === null || known.test(name) ? sum : sum + weigh(value) - less), 0);
const weighLine = (line) => 130 + weighRest(line, /seq|time/, 0);
const WEIGHTS = {
  steps: (step) => 277 + weighRest(step, /status|progress|_at|reason/, 4) + (step.error ? 4 : 0),
  texts: () => 0,
  logs: () => 0,
};

// Records of a kind are kept by id, in the order of their arrival.

/** Adds, replaces or (undefined) removes one. */
function set({ shelves, weights, dirty }, name, id, record) {
  const weightOf = (item) => (item === undefined ? 0 : WEIGHTS[name]?.(item) ?? 2 + weigh(id) + weigh(item));
  const known = shelves[name].get(id);
  if (known === record) return;
  weights[name] += weightOf(record) - weightOf(known);
  dirty.add(name);
  if (record === undefined) shelves[name].delete(id);
  else shelves[name].set(id, record);
}

/** Lets the oldest go of what is too many, and then of the kind that weighs most. */
function put(model, name, id, record) {
  const { shelves, weights, limits } = model;
  set(model, name, id, record);
  if (shelves[name].size > limits[`max_${name}`]) drop(model, name);
  while (Object.values(weights).reduce((sum, weight) => sum + weight) > limits.max_record_bytes) {
    drop(model, Object.keys(weights).reduce((most, kind) => (weights[kind] > weights[most] ? kind : most)));
  }
}

const isOpen = ({ status }) => status === "running" || status === "planned";
const LIVE = { steps: isOpen, texts: ({ done }) => !done };

/** Of steps and texts the oldest that is over goes, if there is one. A step at the top leaves its share of progress. */
function drop(model, name) {
  let victim;
  for (const entry of model.shelves[name]) {
    victim ??= entry;
    if (LIVE[name]?.(entry[1])) continue;
    victim = entry;
    break;
  }
  const [id, record] = victim;
  set(model, name, id);
  omit(model, name);
  if (name !== "steps" || record.parent_id !== null) return;
  const [weight, done] = shareOf(record);
  omit(model, "steps_weight", weight);
  omit(model, "steps_done", done);
}

/** Counts what is left out; null is what stands for it. */
function omit({ now }, name, by = 1) {
  now.omitted = { ...now.omitted, [name]: (now.omitted[name] ?? 0) + by };
  return null;
}

/** Lines are kept by number, so that the oldest is found at once. */
function log(model, line) {
  const { shelves: { logs }, limits } = model;
  set(model, "logs", model.lines++, line);
  model.lineBytes += weighLine(line);
  while (logs.size > limits.max_logs || model.lineBytes > limits.max_log_bytes) {
    const oldest = model.lines - logs.size;
    model.lineBytes -= weighLine(logs.get(oldest));
    set(model, "logs", oldest);
    omit(model, "logs");
  }
}

/** Cuts the beginning of a text that is longer than so many times its bound. */
function trim(model, id, times) {
  const most = model.limits.max_text_chars;
  const known = model.shelves.texts.get(id);
  if (!(known.text?.length > times * most)) return;
  const chars = [...known.text];
  const over = Math.max(0, chars.length - most);
  set(model, "texts", id, { ...known, text: chars.slice(over).join(""), cut: known.cut + over });
}

// Steps

/** A step's weight in overall progress and its share that is done: all of it after its end, nothing of an earlier attempt. */
function shareOf(step) {
  if (step.status === "interrupted") return [0, 0];
  const weight = within(0, step.weight ?? 1);
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

/** Changes a step that may still move. */
function move(model, { step_id }, change) {
  const step = model.shelves.steps.get(step_id);
  if (step && isOpen(step)) put(model, "steps", step_id, { ...step, ...change(step) });
}

const ending = (model, event, progress) => {
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
  const { now } = model;
  // As far as it came: what is closed below was not done.
  Object.assign(now, ending(model, event, overallProgress(model)), { result: event.result ?? null, result_bytes: count(event.result_bytes) });
  close(model, now.status, event);
}

// By type: what is done, and the strings without which nothing is.
const RULES = new Map(Object.entries({
  "session.started": [(model, event) => {
    const { now } = model;
    now.status = "running";
    now.attempt = count(event.attempt) || 1;
    now.started_at ||= time(event.time);
    now.title = text(event.title, model) || now.title;
    now.metadata = or(small("metadata", object)(event.metadata, model), now.metadata);
    now.error = null; // of the attempt before
    list(event.plan)?.forEach((planned, index) => {
      const step_id = object(planned) && or(planned.step_id, `plan.${index}`);
      if (!isString(step_id) || model.shelves.steps.has(step_id)) return;
      put(model, "steps", step_id, { ...read(STEP, planned, model), step_id, status: "planned" });
    });
  }],
  "session.waiting": [({ now }) => { now.status = "waiting"; }],
  // Whoever was to end what is open has gone.
  "session.resumed": [(model, event) => {
    model.now.status = "running";
    close(model, "interrupted", event);
  }],
  "session.retrying": [(model, event) => {
    const { now } = model;
    now.status = "pending";
    now.attempt = count(event.attempt) || now.attempt;
    now.error = error(event.error, model);
    close(model, "interrupted", event);
  }],
  "session.completed": [end],
  "session.failed": [end],
  "session.cancelled": [end],
  "session.lost": [end],
  "cancel.requested": [({ now }) => { now.cancel_requested = true; }],
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
    const known = model.shelves.texts.get(message_id) ?? { ...read(TEXT, event, model), text: "", cut: 0, done: false };
    if (known.done) return;
    // Cut at some times its bound, and when it is asked for: so a long text is not written anew with every token.
    put(model, "texts", message_id, { ...known, text: known.text + delta });
    trim(model, message_id, 4);
  }, "message_id", "delta"],
  "text.completed": [(model, { message_id }) => {
    const known = model.shelves.texts.get(message_id);
    if (known) set(model, "texts", message_id, { ...known, done: true });
  }, "message_id"],
  "log.message": [(model, event) => log(model, { ...read(LINE, event, model), ...(model.limits.detail && { fields: object(event.fields) }) })],
  "artifact.created": [(model, event) => {
    set(model, "artifacts", event.artifact_id); // it comes anew, at the end
    put(model, "artifacts", event.artifact_id, read(ARTIFACT, event, model));
  }, "artifact_id", "name", "media_type"],
  "input.requested": [(model, event) => put(model, "requests", event.request_id, read(REQUEST, event, model)), "request_id", "prompt"],
  "input.resolved": [(model, event) => set(model, "requests", event.request_id), "request_id"],
  "usage.reported": [(model, event) => {
    const { now, limits } = model;
    const { costs } = now.usage;
    const sum = (sums, name, by) => ({ ...sums, [name]: within(-EXACT, (Object.hasOwn(sums, name) ? sums[name] : 0) + by) });
    for (const name of ["input_tokens", "output_tokens"]) now.usage = sum(now.usage, name, count(event[name]));
    const currency = label(event.currency, model) ?? "";
    if (number(event.cost) === null) return;
    if (!Object.hasOwn(costs, currency) && Object.keys(costs).length >= limits.max_custom) omit(model, "costs");
    else now.usage.costs = sum(costs, currency, event.cost);
  }],
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
    this.#model = { limits: { ...LIMITS, ...limits }, lines: 0, lineBytes: 0, shelves: { logs: new Map() } };
    this.jump(state);
  }

  get state() {
    const model = this.#model;
    const { now, shelves, dirty } = model;
    if (this.#state) return this.#state;
    for (const id of shelves.texts.keys()) trim(model, id, 1);
    if (dirty.has("steps") && !hasEnded(model)) now.progress = overallProgress(model);
    for (const name of dirty) now[name] = name === "custom" ? Object.fromEntries(shelves.custom) : [...shelves[name].values()];
    dirty.clear();
    return (this.#state = { ...now });
  }

  apply(event) {
    const model = this.#model;
    const [rule, ...needs] = RULES.get(event?.type) ?? [];
    model.now.seq = count(event?.seq) ?? model.now.seq;
    this.#state = null;
    if (rule && !hasEnded(model) && needs.every((name) => isString(event[name]))) rule(model, event);
  }

  jump(state) {
    const model = this.#model;
    const now = (model.now = { ...object(state), ...read(SESSION, object(state) ?? {}) });
    const { logs } = model.shelves;
    this.#state = null;
    model.dirty = new Set();
    model.shelves = { logs };
    model.weights = {};
    for (const [name, id] of Object.entries(IDS)) {
      model.weights[name] = 0;
      model.shelves[name] ??= new Map();
      if (id) for (const record of now[name]) if (isRecord(record) && isString(record[id])) put(model, name, record[id], record);
    }
    for (const [name, data] of Object.entries(now.custom)) put(model, "custom", name, data);
    // Lines that are here already stay, and some that the server let go may be here.
    const all = now.logs.length + (now.omitted.logs ?? 0);
    const newest = [...logs.values()].at(-1)?.seq ?? 0;
    for (const line of now.logs) if (isRecord(line) && !(line.seq <= newest)) log(model, line);
    const missing = Math.max(0, all - logs.size) - (now.omitted.logs ?? 0);
    if (missing) omit(model, "logs", missing);
    for (const [name, shelf] of Object.entries(model.shelves)) {
      const given = Object.values(now[name]);
      const isSame = shelf.size === given.length && [...shelf.values()].every((record, index) => record === given[index]);
      model.dirty[isSame ? "delete" : "add"](name);
    }
  }
}

export function fold(state, event, limits) {
  const folded = new Fold(state, limits);
  folded.apply(event);
  return folded.state;
}
