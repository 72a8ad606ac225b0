// The form by which a person answers a question, drawn from the JSON Schema of the answer. What cannot be drawn is asked for
// as JSON. The browser checks what is typed as far as it can, the server has the last word. No schema makes it throw.

import { h } from "./element-dom.js";

const MAX_SCHEMA_CHARS = 32768; // far above what the wire lets through: what is larger could freeze the page
const LONG_CHARS = 200; // a text that may be longer gets several lines
const FEW = 4; // choices are shown side by side
const MAX_DIGITS = 15; // a number surely keeps; what has more travels as text

let ids = 0;

/** A schema with what it refers to; references in a circle end in a RangeError. */
function resolve({ $ref, anyOf, ...schema }, root) {
  if ($ref) return resolve({ ...root.$defs[$ref.slice("#/$defs/".length)], ...schema }, root);
  const [one, ...others] = anyOf?.filter(({ type }) => type !== "null") ?? [];
  // What may be of several types is left without one.
  return one && !others.length ? resolve({ ...one, ...schema, isNullable: true }, root) : schema;
}

// What makes a value of what was typed.
const toNumber = (text) => (text.length > MAX_DIGITS ? text : +text);
const toTime = (text) => new Date(text).toISOString();
const toLines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** What a value is typed into, and what makes it of the text. */
function createInput(schema, isAlone) {
  const { type, format, pattern, items, default: preset } = schema;
  const step = { integer: 1, number: "any" }[type];
  const isText = type === "string";
  const isLong = !step && !(isText && (format || pattern || !(isAlone || schema.maxLength > LONG_CHARS)));
  const parse = step ? toNumber
    : items?.type === "string" ? toLines
    : !isText ? JSON.parse
    : format === "date-time" ? toTime : String;
  const input = h(isLong ? "textarea" : "input", { part: "input" });
  for (const limit of ["minimum", "maximum", "minLength", "maxLength"]) {
    if (limit in schema) input.setAttribute(limit.replace("imum", ""), schema[limit]);
  }
  if (!isLong) {
    // Inputs have most formats' names, and take text where they do not know one.
    input.type = step ? "number" : format?.replace("-time", "time-local");
    input.step = step ?? "any";
    // A schema's pattern may match anywhere, an input's must match all; and not every pattern can be an input's.
    const whole = `.*(?:${pattern}).*`;
    try {
      if (pattern && RegExp(whole, "v")) input.pattern = whole;
    } catch {}
  }
  if (preset != null) input.value = parse === JSON.parse ? JSON.stringify(preset) : [preset].flat().join("\n");
  return [input, parse];
}

/** Appends a field to the form. Returns what reads its value from the form's data: undefined where it is left out. */
function drawField(form, given, root, labels, key, isRequired, isAlone) {
  const name = `ap-${++ids}`;
  const title = key && (given.title ?? key.replaceAll("_", " "));
  const schema = resolve(given, root);
  const { type, default: preset } = schema;
  const isMany = type === "array";
  const one = isMany ? resolve(schema.items ?? {}, root) : schema;
  const choices = one.enum ?? (type === "boolean" ? [true, false] : one.const && [one.const]);
  // Where it is required or has a default, leaving it out would not mean that it is empty.
  const isKept = isRequired || `${preset ?? ""}`;
  const required = isKept && !isMany && !schema.isNullable;
  const isBoxes = choices && (isMany || (required && choices.length <= FEW));
  const nodes = choices?.map((choice, value) => {
    const word = choice === true ? labels.yes : choice === false ? labels.no : choice;
    const checked = [preset].flat().includes(choice);
    if (!isBoxes) return h("option", { value, selected: checked }, word);
    if (isAlone && !isMany) return h("button", { name, value, part: "button" }, word);
    const box = h("input", { type: isMany ? "checkbox" : "radio", name, value, checked, required, part: "input" });
    return h("label", {}, h("span", {}, word), box);
  });
  const [control, parse] = choices
    ? [isBoxes ? h("fieldset", {}, ...nodes) : h("select", { part: "input" }, h("option"), ...nodes), (index) => choices[index]]
    : createInput(schema, isAlone);
  const hints = [schema.description, parse === toLines ? labels.one_per_line : parse === JSON.parse && "JSON"];
  Object.assign(control, { name, required, ariaLabel: title || form.ariaLabel });
  control.setAttribute("aria-describedby", name);
  form.append(
    h(isBoxes ? "div" : "label", {}, h("span", { className: required ? "required" : "" }, title), control),
    h("small", { id: name }, hints.filter(Boolean).join(" ")),
  );
  return (data) => {
    try {
      const values = data.getAll(name).filter(Boolean).map(parse);
      if (values.length || isKept) return isMany ? values.flat() : (values[0] ?? null);
    } catch {
      control.focus();
      throw new Error(labels.invalid_json);
    }
  };
}

/** Appends the fields of a schema. Returns what reads the answer. */
function draw(form, root, labels) {
  if (JSON.stringify(root).length > MAX_SCHEMA_CHARS) root = {};
  const { properties, required, isNullable } = resolve(root, root);
  if (!properties || isNullable) return drawField(form, root, root, labels, "", true, true);
  const keys = Object.keys(properties);
  const reads = keys.map((key) => drawField(form, properties[key], root, labels, key, required?.includes(key), !keys[1]));
  return (data) => Object.fromEntries(reads.map((read, index) => [keys[index], read(data)]));
}

/**
 * The form for an open question; the prompt and the expiry stand beside it. `submit` gets the answer and returns a promise:
 * until that is rejected the form is busy, then it shows why. `labels`: send, yes, no, one_per_line, invalid_json.
 */
export function createAnswerForm({ prompt, schema }, labels, submit) {
  const form = h("form", { part: "form", ariaLabel: prompt });
  const alert = h("p", { role: "alert" });
  let read;
  try {
    read = draw(form, schema ?? { type: "string" }, labels);
  } catch {
    form.replaceChildren();
    read = draw(form, {}, labels);
  }
  if (!form.querySelector("button")) form.append(h("button", { part: "button" }, labels.send));
  form.append(alert);
  const setBusy = (isBusy) => {
    form.ariaBusy = isBusy;
    // Those that are disabled would lose the focus.
    for (const button of form.querySelectorAll("button")) button.ariaDisabled = isBusy;
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (form.ariaBusy) return;
    setBusy("true");
    alert.textContent = "";
    try {
      await submit(read(new FormData(form, event.submitter)));
    } catch (reason) {
      alert.textContent = reason.message;
      setBusy(null);
    }
  };
  return form;
}
