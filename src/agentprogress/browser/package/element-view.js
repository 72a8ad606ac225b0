// What the element shows of one client: made once, then drawn from one snapshot after the other, touching what changed.

import { h, text } from "./element-dom.js";
import { createHead } from "./element-head.js";
import { LABELS, translator } from "./element-labels.js";
import { createLog } from "./element-log.js";
import {
  createArtifacts, createDetails, createOutcome, createQuestions, createResult, createTexts, createUsage,
} from "./element-panels.js";
import { createSteps } from "./element-steps.js";

/**
 * @param client follows the session; null: there is none.
 * @param redraw asks for `draw` in the next frame.
 */
export function createView({ client, labels, isReadonly, redraw }) {
  const t = translator(labels);
  const now = { nowMs: 0, isReadonly, isAsking: false, refusal: null };
  const head = createHead(t, { retry: () => client.retryNow(), cancel });
  const quiet = h("p", { className: "quiet", hidden: true }, t("quiet"));
  const body = h("div", { className: "body", part: "body" });
  const foot = h("footer", { part: "foot" });
  const root = h("section", { className: "ap", part: "root", tabIndex: -1, ariaLabel: t("session") }, head.root, quiet, body, foot);
  let epoch;
  let parts = [];

  async function cancel() {
    if (now.isAsking || client.getSnapshot().session.cancel_requested) return;
    Object.assign(now, { isAsking: true, refusal: null });
    redraw();
    try {
      await client.requestCancel();
    } catch (error) {
      now.refusal = error.message;
    }
    now.isAsking = false;
    redraw();
  }

  /** Another run of the session: nothing of the one before may stay. */
  function begin(session) {
    epoch = session.epoch;
    const steps = createSteps(t);
    const log = createLog(t, steps.nameOf, redraw);
    const main = [
      createQuestions(t, { ...LABELS, ...labels }, client, isReadonly), createOutcome(t), createResult(t), steps,
      createArtifacts(t), createUsage(t), createDetails(t),
    ];
    const side = [createTexts(t, steps.nameOf), log];
    parts = [...main, ...side];
    body.replaceChildren(...[main, side].map((column) => h("div", {}, ...column.map((part) => part.root))));
  }

  /** Returns whether there is more to draw. */
  function draw(snapshot) {
    const { session, connection, status } = snapshot;
    // Whoever is no longer told does not know how long it has lasted.
    if (connection.state !== "gave_up") now.nowMs = Date.now() + snapshot.clockOffsetMs;
    Object.assign(root.dataset, { status: status ?? "", connection: connection.state });
    if (session && session.epoch !== epoch) begin(session);
    head.draw(snapshot, now);
    if (!session) return false;
    const shown = { ...session, status };
    const hasMore = parts.map((part) => part.draw(shown, now.nowMs)).some(Boolean);
    quiet.hidden = body.querySelector("section:not([hidden])") !== null;
    const { session_id, attempt, title } = session;
    root.ariaLabel = title || session_id;
    text(foot, [session_id, attempt > 1 && t("attempt", { n: attempt }), connection.transport].filter(Boolean).join(" · "));
    return hasMore;
  }

  return { root, draw };
}
