// The form by which a person answers a question, drawn from the JSON Schema of the answer. What cannot be drawn is asked for
// as JSON. The browser checks what is typed as far as it can, the server has the last word. No schema makes it throw.

import { h } from "./element-dom.js";

const MAX_SCHEMA_CHARS = 32768; // far above what the wire lets through: what is larger could freeze the page
const LONG_CHARS = 200; // a text that may be longer gets several lines
const FEW = 4; // choices are shown side by side

let ids = 0;

/** A schema with what it refers to; references in a circle end in a RangeError. */
function resolve({ $ref, anyOf, ...schema }, root) {
  if ($ref) return resolve({ ...root.$defs[$ref.slice("#/$defs/".length)], ...schema }, root);
  const [one, ...others] = anyOf?.filter(({ type }) => type !== "null") ?? [];
  // Nothing can be drawn for one of several kinds, which are left without a type.
  return one && !others.length ? resolve({ ...one, ...schema, isNullable: true }, root) : schema;
}

// What makes a value of what was typed.
const toNumber = (text) => (text % 1 || Number.isSafeInteger(+text) ? +text : text); // other integers travel as strings
const toTime = (text) => new Date(text).toISOString();
const toLines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** What a value is typed into, and what makes the value of its text. */
function createInput(schema, isAlone) {
  const { type, format, pattern, items, maxLength, default: preset } = schema;
  const isText = type === "string";
  const isNumber = type === "number" || type === "integer";
  const isShort = isNumber || (isText && (format || pattern || !(isAlone || maxLength > LONG_CHARS)));
  const parse = isNumber ? toNumber : items?.type === "string" ? toLines : !isText ? JSON.parse : format === "date-time" ? toTime : String;
  const input = h(isShort ? "input" : "textarea", { part: "input" });
  for (const limit of ["minimum", "maximum", "minLength", "maxLength"]) {
    if (limit in schema) input.setAttribute(limit.replace("imum", ""), schema[limit]);
  }
  if (isShort) {
    // Inputs have most formats' names, and take text where they do not know one.
    input.type = isNumber ? "number" : format?.replace("-time", "time-local");
    input.step = type === "integer" ? 1 : "any";
    // A schema's pattern may match anywhere, an input's must match all; and inputs are the stricter readers.
    const whole = `.*(?:${pattern}).*`;
    try {
      if (pattern && RegExp(whole, "v")) input.pattern = whole;
    } catch {}
  }
  if (preset != null) input.value = parse === JSON.parse ? JSON.stringify(preset) : [preset].flat().join("\n");
  return [input, parse];
}

/** Appends a field to the form. Returns what reads its value from the form's data, undefined where it is left out. */
function drawField(form, given, root, labels, title, isRequired, isAlone) {
  const name = `ap-${++ids}`;
  const schema = resolve(given, root);
  const { type, default: preset, description, items } = schema;
  const isMany = type === "array";
  const one = isMany && items ? resolve(items, root) : schema;
  const choices = one.enum ?? (type === "boolean" ? [true, false] : one.const && [one.const]);
  // Where it is required or has a default, leaving it out would not mean that it is empty.
  const isKept = isRequired || `${preset ?? ""}`;
  const required = !!isKept && !isMany && !schema.isNullable;
  const isBoxes = choices && (isMany || (required && choices.length <= FEW));
  const nodes = choices?.map((choice, value) => {
    const word = choice === true ? labels.yes : choice === false ? labels.no : choice;
    const checked = [preset].flat().includes(choice);
    return !isBoxes ? h("option", { value, selected: checked }, word)
      : isAlone && !isMany ? h("button", { name, value, part: "button" }, word)
      : h("label", {}, h("span", {}, word), h("input", { type: isMany ? "checkbox" : "radio", name, value, checked, required, part: "input" }));
  });
  const [control, parse] = choices
    ? [isBoxes ? h("fieldset", {}, ...nodes) : h("select", { part: "input" }, h("option"), ...nodes), (index) => choices[index]]
    : createInput(schema, isAlone);
  Object.assign(control, { name, required, ariaLabel: title || form.ariaLabel });
  control.setAttribute("aria-describedby", name);
  form.append(
    h(isBoxes ? "div" : "label", {}, h("span", {}, title), control),
    h("small", { id: name }, [description, parse === toLines ? labels.one_per_line : parse === JSON.parse && "JSON"].filter(Boolean).join(" ")),
  );
  return (data) => {
    try {
      const values = data.getAll(name).filter(Boolean).map((text) => parse(text));
      return !values.length ? (isKept ? (isMany ? [] : null) : undefined) : isMany ? values.flat() : values[0];
    } catch {
      control.focus();
      throw new Error(labels.invalid_json);
    }
  };
}

function draw(form, root, labels) {
  if (JSON.stringify(root).length > MAX_SCHEMA_CHARS) throw 0;
  const { properties, required, isNullable } = resolve(root, root);
  if (!properties || isNullable) return drawField(form, root, root, labels, "", true, true);
  const keys = Object.keys(properties);
  const reads = keys.map((key) => drawField(form, properties[key], root, labels, properties[key].title ?? key.replaceAll("_", " "), required?.includes(key), !keys[1]));
  return (data) => Object.fromEntries(reads.map((read, index) => [keys[index], read(data)]));
}

export function createAnswerForm({ prompt, schema }, labels, submit) {
  const error = h("p", { role: "alert" });
  const form = h("form", { part: "form", ariaLabel: prompt });
  let read;
  try {
    read = draw(form, schema ?? { type: "string" }, labels);
  } catch {
    form.replaceChildren();
    read = draw(form, {}, labels);
  }
  if (!form.querySelector("button")) form.append(h("button", { part: "button" }, labels.send));
  form.append(error);
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (form.ariaBusy) return;
    // Disabled buttons would lose the focus.
    const setBusy = (isBusy) => {
      form.ariaBusy = isBusy;
      for (const button of form.querySelectorAll("button")) button.ariaDisabled = isBusy;
    };
    setBusy("true");
    error.textContent = "";
    try {
      await submit(read(new FormData(form, event.submitter)));
    } catch (reason) {
      error.textContent = reason.message;
      setBusy(null);
    }
  };
  return form;
}
