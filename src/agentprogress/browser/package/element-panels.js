// The parts of the body besides steps and log: questions, outcome, result, texts, artifacts, usage and details. Each says itself
// of a session, or nothing.

import { createAnswerForm } from "./element-form.js";
import { asText, box, button, createTail, download, el, h, inline, joined, make, number, panel } from "./element-dom.js";
import { errorLine } from "./element-steps.js";

const VALUE_CHARS = 20000; // of a result or an error's detail: more would be felt
const TEXT_CHARS = 16000; // of a text; it is cut to half of it at once, not at every word

/** What belongs to each key, made once. */
function kept(make) {
  const made = new Map();
  return (key, ...things) => {
    if (!made.has(key)) made.set(key, make(...things));
    return made.get(key);
  };
}

export function createQuestions(t, labels, client, isReadonly) {
  const formOf = kept((request) => createAnswerForm(request, labels, (value) => client.answer(request.request_id, value)));
  return ({ requests }) => requests.length > 0 && panel(t, "questions", [], ...requests.map((request) => {
    const { request_id: id, prompt, expires_at } = request;
    const time = Date.parse(expires_at) && new Date(expires_at).toLocaleString();
    return el(
      "div.question", { id }, el("p.prose", prompt), isReadonly ? el("small", t("elsewhere")) : formOf(id, request),
      el("small", time && t("expires", { time })),
    );
  }));
}

export const createOutcome = (t) => ({ status, error, reason }) => ["failed", "cancelled", "lost"].includes(status) && panel(
  t, status, [],
  el("p.prose", error ? errorLine(error) : (reason ?? (status === "lost" && t("was_lost")))),
  el("small", error && joined(error.code, error.retryable && t("again"))),
  error && error.detail !== null && box("pre", t("error"), asText(error.detail).slice(0, VALUE_CHARS)),
);

export function createResult(t) {
  const textOf = kept(asText); // of a large one that is work
  return ({ status, session_id, result, result_bytes }) => {
    if (status !== "completed" || (result === null && !result_bytes)) return null;
    if (result === null) return panel(t, "result", [el("small", t("loading"))]);
    const [type, suffix] = typeof result === "string" ? ["text/plain", "txt"] : ["application/json", "json"];
    const whole = textOf(result, result);
    const clipped = whole.length > VALUE_CHARS && t("of", { n: number(VALUE_CHARS), total: number(whole.length) });
    const save = button(t("download"), () => download(`${session_id}.${suffix}`, type, whole));
    return panel(t, "result", [el("small", clipped), save], box("pre", t("result"), whole.slice(0, VALUE_CHARS)));
  };
}

/** A text that grows at its end, which is followed, unless it is whole already: then it is read from its start. */
function createStream(label, isWhole) {
  const node = new Text();
  const body = make(box("div", label, node));
  let known = "";
  return { label, node, body, tail: createTail(body, !isWhole), take(whole) {
    if (whole.startsWith(known)) node.appendData(whole.slice(known.length));
    else node.data = whole;
    known = whole;
    if (node.length > TEXT_CHARS) node.deleteData(0, node.length - TEXT_CHARS / 2);
  } };
}

export function createTexts(t, nameOf) {
  const streamOf = kept(createStream);
  let tails = [];
  return {
    say({ texts }) {
      tails = [];
      return texts.length > 0 && panel(t, "output", [], ...texts.map(({ message_id: id, role, channel, step_id, text, cut, done }) => {
        const { label, node, body, tail, take } = streamOf(id, joined(nameOf(step_id), role, channel !== "answer" && channel) || t("output"), done);
        take(String(text));
        tails.push(tail);
        const isCut = cut || node.length < text.length;
        return el(`article.text ${channel}`, { id }, el("h4", joined(label, isCut && t("cut"), !done && t("writing"))), body);
      }));
    },
    settle: () => tails.forEach((tail) => tail.settle()),
  };
}

export const createArtifacts = (t) => ({ artifacts }) => artifacts.length > 0 && panel(
  t, "artifacts", [], ...artifacts.map(({ artifact_id: id, name, media_type, url, data }) => {
    // Links of other kinds could run scripts.
    const { href, protocol } = h("a", { href: url });
    return el(
      "div.bar", { id },
      url && /^https?:$/.test(protocol) ? el("a", { href, target: "_blank", rel: "noopener noreferrer" }, name) : el("span", name),
      el("small", media_type),
      data !== null && button(t("download"), () => download(name, media_type, asText(data)), { ariaLabel: `${t("download")} ${name}` }),
    );
  }),
);

const pairs = (t, key, entries) => entries.length > 0 &&
  panel(t, key, [], el("dl", ...entries.flatMap(([name, value]) => [el("dt", name), el("dd", value)])));

export const createUsage = (t) => ({ usage: { costs, ...counts } }) => pairs(t, "usage", [
  ...Object.entries(counts).filter(([, value]) => value > 0).map(([key, value]) => [t(key), number(value)]),
  ...Object.entries(costs).map(([currency, cost]) => [t("cost"), `${number(cost)} ${currency}`]),
]);

export const createDetails = (t) => ({ metadata, custom }) =>
  pairs(t, "details", Object.entries({ ...metadata, ...custom }).map(([key, value]) => [key, inline(value)]));
