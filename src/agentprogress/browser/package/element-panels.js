// The parts of the body besides steps and log: questions, outcome, result, texts, artifacts, usage and details.

import { createAnswerForm } from "./element-form.js";
import { asText, box, button, clock, createRows, createTail, download, h, inline, linkable, number, panel, text } from "./element-dom.js";
import { errorLine } from "./element-steps.js";

const VALUE_CHARS = 20000; // of a result or an error's detail: more would be felt
const TEXT_CHARS = 40000; // of a text; it is cut to half of it at once, not at every word

export function createQuestions(t, labels, client, isReadonly) {
  const root = panel("questions", t("questions"), []);
  const { sync } = createRows("request_id", (request) => {
    const form = isReadonly ? h("p", {}, t("elsewhere")) : createAnswerForm(request, labels, (value) => client.answer(request.request_id, value));
    const expires = clock(request.expires_at);
    const row = { root: h("div", { part: "question" }, h("p", { className: "prose" }, request.prompt), form), update() {} };
    if (expires) row.root.append(h("small", {}, t("expires", { time: expires })));
    root.append(row.root);
    return row;
  });
  return { root, draw({ requests }) {
    sync(requests);
    root.hidden = !requests.length;
  } };
}

export function createOutcome(t) {
  const message = h("p", { className: "prose" });
  const facts = h("small");
  const detail = box("pre", t("error"));
  const root = panel("outcome", "", [], message, facts, detail);
  return { root, draw({ status, error, reason }) {
    const isFailed = status === "failed";
    root.hidden = !isFailed && status !== "cancelled" && status !== "lost";
    if (root.hidden) return;
    root.dataset.tone = status === "cancelled" ? "calm" : "bad";
    text(root.firstChild, t(isFailed ? "error" : status));
    text(message, (error && errorLine(error)) || reason || t(`was_${status}`));
    text(facts, error ? `${t("code", { code: error.code })} · ${t(error.retryable ? "again" : "final")}` : "");
    if (error?.detail !== root.detail) text(detail, asText((root.detail = error.detail)).slice(0, VALUE_CHARS));
    detail.hidden = !detail.firstChild;
  } };
}

export function createResult(t) {
  let shown;
  let name;
  const save = button(t("download"), () => {
    const isText = typeof shown === "string";
    download(`${name}.${isText ? "txt" : "json"}`, isText ? "text/plain" : "application/json", shown);
  });
  const note = h("small");
  const value = box("pre", t("result"));
  const root = panel("result", t("result"), [note, save], value);
  return { root, draw({ status, session_id, result, result_bytes }) {
    const isHere = result !== null;
    root.hidden = status !== "completed" || (!isHere && !result_bytes);
    save.hidden = value.hidden = !isHere;
    if (!isHere) text(note, t("loading"));
    if (result === shown || !isHere) return;
    [shown, name] = [result, session_id];
    const whole = asText(result);
    text(value, whole.slice(0, VALUE_CHARS));
    text(note, whole.length > VALUE_CHARS ? t("clipped", { n: number(VALUE_CHARS), total: number(whole.length) }) : "");
  } };
}

export function createTexts(t, nameOf) {
  const root = panel("output", t("output"), []);
  const { sync } = createRows("message_id", (first) => {
    const head = h("h4");
    const label = [t(first.role ?? "assistant"), first.channel && t(first.channel), nameOf(first.step_id)].filter(Boolean).join(" · ");
    const node = new Text();
    const body = box("div", label, node);
    // One that is whole already is read from its start.
    const tail = createTail(body, !first.done);
    const row = { root: h("article", { part: "text" }, head, body), update };
    row.root.dataset.channel = first.channel;
    let known = "";
    let isCut = false;
    function update({ text: whole, cut, done }) {
      if (whole.startsWith(known)) node.appendData(whole.slice(known.length));
      else node.data = whole;
      known = whole;
      if (node.length > TEXT_CHARS) {
        node.deleteData(0, node.length - TEXT_CHARS / 2);
        isCut = true;
      }
      text(head, [label, (cut || isCut) && t("cut"), !done && t("writing")].filter(Boolean).join(" · "));
      tail.settle();
    }
    root.append(row.root);
    return row;
  });
  return { root, draw({ texts }) {
    sync(texts);
    root.hidden = !texts.length;
  } };
}

export function createArtifacts(t) {
  const list = h("ul");
  const root = panel("artifacts", t("artifacts"), [], list);
  const { sync } = createRows("artifact_id", () => {
    const row = { root: h("li", { className: "line", part: "artifact" }), update };
    function update({ name, media_type, url, data }) {
      const href = url && linkable(url);
      const title = href ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, name) : h("span", {}, name);
      row.root.replaceChildren(title, h("small", {}, media_type));
      if (data !== null) {
        const save = button(t("download"), () => download(name, media_type, data));
        save.ariaLabel = `${t("download")} ${name}`;
        row.root.append(save);
      }
      list.append(row.root); // one that is made again is the newest
    }
    return row;
  });
  return { root, draw({ artifacts }) {
    sync(artifacts);
    root.hidden = !artifacts.length;
  } };
}

/** Names and values; `pick` takes from a session what they are made of, and `pairsOf` makes them. */
function createPairs(name, t, pick, pairsOf) {
  const list = h("dl");
  const root = panel(name, t(name), [], list);
  let seen = [];
  return { root, draw(session) {
    const picked = pick(session);
    if (picked.every((one, index) => one === seen[index])) return;
    seen = picked;
    const pairs = pairsOf(...picked);
    list.replaceChildren(...pairs.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
    root.hidden = !pairs.length;
  } };
}

export const createUsage = (t) => createPairs("usage", t, ({ usage }) => [usage], ({ costs, ...counts }) => [
  ...Object.entries(counts).filter(([, value]) => value > 0).map(([key, value]) => [t(key), number(value)]),
  ...Object.entries(costs).map(([currency, cost]) => [t("cost"), `${number(cost)} ${currency}`]),
]);

export const createDetails = (t) => createPairs("details", t, ({ metadata, custom }) => [metadata, custom], (metadata, custom) =>
  Object.entries({ ...metadata, ...custom }).map(([key, value]) => [key, inline(value)]));
