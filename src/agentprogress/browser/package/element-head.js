// The head: what the session is, how far it is, who acts now, and how the connection to it stands.

import { button, duration, el, number } from "./element-dom.js";
import { appearance, errorLine, glyph } from "./element-steps.js";

const ACTIVE_SHOWN = 4;
const ADVICE = ["unauthorized", "forbidden", "unknown_session", "gone", "protocol"];

export function headOf(snapshot, now, t) {
  const { session, status, connection } = snapshot;
  return el(
    "header.head", { className: `head ${connection.state}` },
    el("div.line", el("h2.title", session?.title || session?.session_id || t("session")), connectionOf(connection, now, t)),
    session && stateOf(session, status, now, t),
    session && phasesOf(session, t),
    session && status === "running" && activeOf(session, t),
    el("div.notices", { role: "status" }, ...noticesOf(snapshot, now, t).map(([tone, line]) => el(`p.notice ${tone}`, line))),
  );
}

function connectionOf({ state, offline, retryAtMs, reason }, { retry }, t) {
  const isWaiting = retryAtMs !== null;
  const seconds = Math.ceil((retryAtMs - Date.now()) / 1000);
  return el(
    // The node stays: one that announces itself is heard only when it changes, not when it comes; and it holds the focus.
    "p.connection", { className: `connection ${state}`, part: `connection ${state}`, title: reason ?? "" },
    el("i.dot"),
    el("span", { role: "status" }, t(offline && state !== "ended" && state !== "live" ? "offline" : state)),
    el("span", { ariaHidden: "true" }, isWaiting && seconds > 0 && t("in", { n: number(seconds) })),
    (state === "gave_up" || isWaiting) && button(t("retry"), retry),
  );
}

function stateOf({ progress, started_at, ended_at, cancel_requested }, status, { nowMs, isReadonly, isAsking, cancel }, t) {
  // Nothing counts yet: nothing, rather than "0 %".
  const share = progress || (ended_at ? progress : null);
  const isAsked = isAsking || cancel_requested;
  return el(
    "div.line", { className: `line ${status}`, part: `line ${status}` },
    el("span.status", { role: "status" }, el(`i.glyph ${status}`), t(status)),
    el("progress.progress", { ariaLabel: t("progress"), value: Number(share) || 0 }),
    el("span.figure", share !== null && `${Math.floor(share * 100)} %`),
    el("span.figure", started_at && duration(started_at, ended_at ?? nowMs)),
    !isReadonly && !ended_at && button(t(isAsked ? "cancelling" : "cancel"), cancel, { ariaDisabled: String(isAsked) }),
  );
}

function phasesOf({ steps }, t) {
  const phases = steps.filter(({ kind, parent_id }) => kind === "phase" && !parent_id);
  return phases.length > 1 && el("ol.phases", ...phases.map((step) => {
    const look = appearance(step);
    return el("li", { ariaCurrent: look === "running" ? "step" : null }, glyph(look, t), step.name);
  }));
}

/** Each running step without a running step below, behind whom it acts for. Phases have a line of their own. */
function activeOf({ steps }, t) {
  const running = new Map(steps.filter(({ status, kind }) => status === "running" && kind !== "phase").map((step) => [step.step_id, step]));
  const active = new Map(running);
  for (const { parent_id } of running.values()) active.delete(parent_id);
  const more = active.size - ACTIVE_SHOWN;
  return active.size > 0 && el(
    "p.active",
    ...[...active.values()].slice(0, ACTIVE_SHOWN).map(({ parent_id, name }) => {
      const parent = running.get(parent_id);
      return el("span.chip", parent ? `${parent.name} › ${name}` : name);
    }),
    more > 0 && el("small", t("more", { n: number(more) })),
  );
}

function noticesOf({ session, status, producer, connection: { state, reason, error } }, { refusal }, t) {
  const { error: failure, requests, ended_at } = session ?? {};
  return [
    state === "gave_up" && ["failed", `${reason} ${t(ADVICE.includes(error.kind) ? error.kind : "later")}`],
    state === "reconnecting" && !session && reason && ["waiting", reason],
    refusal && ["failed", refusal],
    producer === "stalled" && !ended_at && ["waiting", t("stalled")],
    status === "waiting" && requests?.length === 0 && ["waiting", t("settled")],
    status === "pending" && failure && ["waiting", t("retrying", { message: errorLine(failure) })],
  ].filter(Boolean);
}
