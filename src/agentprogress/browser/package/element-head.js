// The head: what the session is, how far it is, who acts now, and how the connection to it stands.

import { button, duration, h, number, set, text } from "./element-dom.js";
import { appearance, errorLine, mark } from "./element-steps.js";

const ACTIVE_SHOWN = 4;

/** Draws into `node` only when what it is made from differs by value. */
function drawn(node, make) {
  let seen;
  return (...facts) => {
    const now = JSON.stringify(facts);
    if (seen === now) return;
    seen = now;
    node.replaceChildren(...make(...facts));
    node.hidden = !node.firstChild;
  };
}

export function createHead(t, { retry, cancel }) {
  const title = h("h2", { part: "title" });
  const connection = h("span", { role: "status" });
  const countdown = h("span", { ariaHidden: "true" });
  const retryButton = button(t("retry"), retry);
  const cancelButton = button(t("cancel"), cancel);
  const glyph = h("i", { className: "g" });
  const status = h("span", { role: "status" });
  const progress = h("progress", { max: 1, part: "progress", ariaLabel: t("progress") });
  const percent = h("span", { className: "figure" });
  const elapsed = h("span", { className: "figure", title: t("elapsed") });
  const phases = h("ol", { className: "phases", part: "phases", ariaLabel: t("phases") });
  const active = h("p", { className: "active", part: "active" });
  const notices = h("div", { className: "notices", role: "status" });
  const second = h("div", { className: "line" }, h("span", { className: "status", part: "status" }, glyph, status), progress, percent, elapsed, cancelButton);
  const root = h(
    "header", { part: "head" },
    h("div", { className: "line" }, title, h("p", { className: "link", part: "connection" }, h("i", { className: "dot" }), connection, countdown, retryButton)),
    second, phases, active, notices,
  );
  const drawPhases = drawn(phases, (steps) => (steps.length > 1 ? steps.map(phase) : []));
  const drawActive = drawn(active, (paths, more) => {
    if (!paths.length) return [];
    return [h("small", {}, t("now")), ...paths.map(chip), ...(more > 0 ? [h("small", {}, t("more", { n: number(more) }))] : [])];
  });
  const drawNotices = drawn(notices, (found) => found.map(([tone, line]) => h("p", { className: tone, part: "notice" }, line)));

  function phase([name, look]) {
    const glyph = h("i", { className: "g" });
    mark(glyph, look, t);
    return h("li", { className: look, ariaCurrent: look === "running" ? "step" : null }, glyph, name);
  }

  function chip(path) {
    const parts = path.flatMap(([kind, name]) => [" › ", ...(kind === "step" ? [] : [h("small", {}, `${t(kind)} `)]), name]);
    return h("span", { className: "chip" }, ...parts.slice(1));
  }

  function drawConnection({ state, offline, retryAtMs, reason }) {
    const isOff = state === "connecting" || state === "reconnecting";
    text(connection, t(isOff && offline ? "offline" : state));
    const seconds = Math.ceil((retryAtMs - Date.now()) / 1000);
    text(countdown, isOff && retryAtMs !== null && seconds > 0 ? t("in", { n: number(seconds) }) : "");
    set(connection, { title: reason ?? "" });
    retryButton.hidden = state !== "gave_up" && !(isOff && retryAtMs !== null);
  }

  function drawSession(session, state, { nowMs, isReadonly, isAsking }) {
    const isOver = Boolean(session.ended_at);
    mark(glyph, state, t);
    text(status, t(state));
    // Nothing counts yet: busy, rather than "0 %".
    const share = session.progress || (isOver ? session.progress : null);
    set(progress, { hidden: share === null && state !== "running" });
    if (share === null) progress.removeAttribute("value");
    else set(progress, { value: share });
    text(percent, share === null ? "" : `${Math.floor(share * 100)} %`);
    text(elapsed, session.started_at ? duration(session.started_at, isOver ? Date.parse(session.ended_at) : nowMs, isOver) : "");
    const isAsked = isAsking || session.cancel_requested;
    cancelButton.hidden = isReadonly || isOver;
    set(cancelButton, { ariaDisabled: String(isAsked) });
    text(cancelButton, t(isAsked ? "cancelling" : "cancel"));
    const isRunning = state === "running";
    drawPhases(session.steps.filter((step) => step.kind === "phase" && !step.parent_id).map((step) => [step.name, appearance(step)]));
    const paths = isRunning ? activePaths(session.steps) : [];
    drawActive(paths.slice(0, ACTIVE_SHOWN), paths.length - ACTIVE_SHOWN);
  }

  function draw(snapshot, now) {
    const { session, status: state } = snapshot;
    second.hidden = !session;
    text(title, session?.title || session?.session_id || t("session"));
    drawConnection(snapshot.connection);
    drawNotices([...connectionNotices(snapshot, t), ...(session ? sessionNotices(snapshot, t) : []), ...(now.refusal ? [["bad", now.refusal]] : [])]);
    if (session) drawSession(session, state, now);
  }

  return { root, draw };
}

function connectionNotices({ session, connection: { state, reason, error } }, t) {
  if (state === "gave_up") return [["bad", `${reason} ${t(error.kind)}`]];
  return state === "reconnecting" && reason && !session ? [["wait", `${reason} ${t("trying")}`]] : [];
}

function sessionNotices({ session, status, producer }, t) {
  const found = [];
  if (session.ended_at) return found;
  if (producer === "stalled") found.push(["wait", t("stalled")]);
  if (status === "waiting" && !session.requests.length) found.push(["wait", t("settled")]);
  if (session.cancel_requested) found.push(["wait", t("asked")]);
  if (status === "pending" && session.error) found.push(["wait", t("retrying", { message: errorLine(session.error) })]);
  return found;
}

/** For each running step without a running step below: itself, behind whom it acts for. Phases have their own line. */
function activePaths(steps) {
  const running = steps.filter((step) => step.status === "running");
  const byId = new Map(running.map((step) => [step.step_id, step]));
  const parents = new Set(running.map((step) => step.parent_id));
  return running
    .filter((step) => !parents.has(step.step_id) && step.kind !== "phase")
    .map((step) => [byId.get(step.parent_id), step].filter((one) => one && one.kind !== "phase").map(({ kind, name }) => [kind, name]));
}
