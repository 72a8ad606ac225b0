// What of an event's fields a state keeps: how they are read, and what they weigh. What is of the wrong type is as good as
// absent, which is null.

const TIME_CHARS = 24;

/** The first code points of a text: a copy, because a slice would keep the whole of it in memory. */
const clip = (text, chars) => (text.length > chars ? [...text.slice(0, 2 * chars)].slice(0, chars).join("") : text);

// Readers of a value. Some are told the model, for its limits.

const only = (isFit) => (value) => (isFit(value) ? value : null);
export const isString = (value) => typeof value === "string";
const string = only(isString);
export const number = only(Number.isFinite);
export const count = only(Number.isInteger);
export const list = only(Array.isArray);
export const object = only((value) => typeof value === "object" && !Array.isArray(value));
export const time = only((value) => isString(value) && value === clip(value, TIME_CHARS));
const flag = (value) => value === true;
const nothing = () => null;

const upTo = (bound) => (value, { limits }) => string(value) && clip(value, limits[bound]);
export const text = upTo("max_string_chars");
export const label = upTo("max_id_chars");

/** Where there is nothing, or nothing in it, another value. */
const or = (other, reader) => (value, model) => reader(value, model) || other;

/** A free value, if it is small enough for a state. */
export const small = (name, reader) => (value = null, model) => {
  if (reader?.(value) === null) return null;
  return weigh(value) > model.limits.max_value_bytes ? omit(model, name) : value;
};

/** Counts what is left out; null is what stands for it. */
export function omit({ now }, name, by = 1) {
  now.omitted = added(now.omitted, name, by);
  return null;
}

/** Sums, one of which has grown, within ±most. A name may be any, `__proto__` too. */
export function added(sums, name, by, most = Infinity) {
  const sum = (Object.hasOwn(sums, name) ? sums[name] : 0) + by;
  return { ...sums, [name]: Math.min(most, Math.max(-most, sum)) };
}

// Shapes: the members of a record, and how each is read from an event.

export const read = (shape, source, model) =>
  Object.fromEntries(Object.entries(shape).map(([name, reader]) => [name, reader(source[name], model)]));

const ERROR = { code: or("error", label), message: or("", text), retryable: flag, detail: small("error_details") };
export const error = (value, model) => object(value) && read(ERROR, value, model);

export const STEP = {
  step_id: string, parent_id: string, kind: or("step", text), name: or("", text), status: nothing, current: nothing,
  total: number, unit: text, weight: number, message: nothing, progress: nothing, started_at: nothing, ended_at: nothing,
  error: nothing,
};
export const TEXT = {
  message_id: string, role: label, channel: label, step_id: label, text: () => "", cut: () => 0, done: () => false,
};
export const LINE = { seq: count, time, level: or("info", text), message: or("", text), step_id: text, logger: text };
export const ARTIFACT = {
  artifact_id: string, name: text, media_type: text, url: small("artifact_urls", string), data: small("artifact_data"),
  step_id: text,
};
export const REQUEST = { request_id: string, prompt: text, schema: small("schemas", object), expires_at: time };

// Snapshots: their members are read as fields are. Records are taken as they are, if there is no object in them where none
// may be: nothing fails for plain values, but what JSON calls an object may not even be compared.

const numbers = only((value) => object(value) && Object.values(value).every(Number.isFinite));
const usage = only((value) => object(value) && numbers(value.costs) && numbers({ ...value, costs: 0 }));

const FREE = /^(error|data|schema|fields)$/;
export const isRecord = (value) =>
  object(value) && Object.entries(value).every(([name, item]) => Object(item) !== item || FREE.test(name));

export const SESSION = {
  session_id: or("", string), epoch: or("", string), seq: or(0, count), status: or("pending", string), attempt: or(1, count),
  title: string, metadata: object, started_at: string, ended_at: string, progress: number, result: (value = null) => value,
  result_bytes: count, error: object, cancel_requested: flag, steps: or([], list), texts: or([], list), logs: or([], list),
  artifacts: or([], list), requests: or([], list), usage: or({ input_tokens: 0, output_tokens: 0, costs: {} }, usage),
  custom: or({}, object), omitted: or({}, numbers),
};

// Weights: upper bounds of the bytes in JSON, the same in every language because numbers count as the longest.

const PLAIN = /^[ !#-[\]-~]*$/; // each character is a byte
const encoder = new TextEncoder();

/** Not recursive: data may be deep. */
export function weigh(value) {
  let weight = 0;
  for (const rest = [value]; rest.length; ) {
    const item = rest.pop();
    if (isString(item)) weight += PLAIN.test(item) ? item.length + 2 : encoder.encode(JSON.stringify(item)).length;
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

/** Adds up the members that are not null, less so much for each; but not those that are counted in with a record of nulls. */
function weighMembers(record, counted, less) {
  const members = Object.entries(record).filter(([name, value]) => value !== null && !counted.test(name));
  return members.reduce((sum, [, value]) => sum + weigh(value) - less, 0);
}

/** What weighs otherwise than its id and itself. Texts are bounded by their code points. */
export const WEIGHTS = {
  steps: (step) => 277 + weighMembers(step, /status|progress|_at|reason/, 4) + (step.error ? 4 : 0),
  logs: (line) => 130 + weighMembers(line, /seq|time/, 0),
  texts: () => 0,
};
