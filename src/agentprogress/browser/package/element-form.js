// The form by which a person answers a question, drawn from the JSON Schema of the answer. What cannot be drawn is asked for
// as JSON. The browser itself checks what is typed; the server has the last word. However wrong a schema is, nothing throws.

import { h } from "./element-dom.js";

const MAX_SCHEMA_CHARS = 32768; // far above what the wire lets through: what is larger could freeze the page
const MAX_DEPTH = 4; // of objects in each other
const MAX_HOPS = 9; // from reference to reference
const FEW = 4; // choices are shown side by side
const LONG_CHARS = 200; // a text that may be longer gets several lines
const INPUTS = { date: "date", "date-time": "datetime-local", email: "email", password: "password", time: "time", uri: "url" };

let ids = 0;

/** A schema with what it refers to, and whether null will do as well. */
function resolve(schema, root) {
  let isNullable = false;
  for (let hops = MAX_HOPS; hops--; ) {
    const { $ref, anyOf, ...own } = schema;
    const found = $ref ? [root.$defs[$ref.slice("#/$defs/".length)]] : anyOf?.filter(({ type }) => type !== "null");
    isNullable ||= found?.length < anyOf?.length;
    if (found?.length !== 1) return [schema, isNullable];
    schema = { ...found[0], ...own };
  }
  throw new Error("endless references");
}

/** A title as pydantic makes them; where there is a reference it makes none. */
const titleOf = (key) => key.replace(/(^|_)(.)/g, (_, gap, letter) => (gap && " ") + letter.toUpperCase());

/** A schema's pattern may match anywhere, an input's must match all. One that JavaScript cannot read is left to the server. */
function patternOf({ pattern }) {
  try {
    return pattern && new RegExp(pattern, "v") && `.*(?:${pattern}).*`;
  } catch {}
}

/** What was typed where anything may be: an object or an array if it is one, else a text. */
function freely(text) {
  try {
    if (/^\s*[[{]/.test(text)) return JSON.parse(text);
  } catch {}
  return text;
}

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** What a value is typed into (a tag and properties, of which some may be missing), and what makes it of the text. */
function typing(schema, isAlone) {
  const { type, format, minimum, maximum, multipleOf, exclusiveMinimum, exclusiveMaximum, minLength, maxLength } = schema;
  const step = { integer: 1, number: 0 }[type];
  if (type === "array" && schema.items?.type === "string") return ["textarea", {}, lines];
  if (step >= 0) {
    return ["input", {
      type: "number",
      min: minimum ?? exclusiveMinimum + step,
      max: maximum ?? exclusiveMaximum - step,
      step: (!minimum && multipleOf) || step || "any", // steps are counted from the minimum, multiples from 0
    }, (text) => (step && !Number.isSafeInteger(+text) ? text : +text)]; // such integers travel as strings
  }
  if (type !== "string") return ["textarea", {}, Object.keys(schema).length ? JSON.parse : freely];
  const pattern = patternOf(schema);
  return [
    !format && !pattern && (isAlone || maxLength > LONG_CHARS) ? "textarea" : "input",
    { type: INPUTS[format] ?? "text", minLength, maxLength, pattern, step: "any" },
    format === "date-time" ? (text) => new Date(text).toISOString() : String,
  ];
}
