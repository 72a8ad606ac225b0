// What the element shows of one client, said from one snapshot after the other.

import { el, joined, make, patch } from "./element-dom.js";
import { headOf } from "./element-head.js";
import { LABELS, translator } from "./element-labels.js";
import { createLog } from "./element-log.js";
import { createArtifacts, createDetails, createOutcome, createQuestions, createResult, createTexts, createUsage } from "./element-panels.js";
import { createSteps } from "./element-steps.js";

/** @param redraw asks for `draw` in the next frame. */
export function createView(client, labels, isReadonly, redraw) {
  const t = translator(labels);
  const now = { isReadonly, retry: () => client.retryNow(), cancel };
  let said = el("section.root");
  const root = make(said);
  let epoch;
  let main;
  let texts;
  let log;

  async function cancel() {
    if (now.isAsking || client.getSnapshot().session.cancel_requested) return;
    const asking = (isAsking, error) => {
      Object.assign(now, { isAsking, refusal: error?.message });
      redraw();
    };
    asking(true);
    await client.requestCancel().then(() => asking(false), (error) => asking(false, error));
  }

  /** Nothing of another run of the session may stay. */
  function begin(session) {
    const nameOf = (id) => client.getSnapshot().session.steps.find(({ step_id }) => step_id === id)?.name;
    epoch = session.epoch;
    main = [
      createQuestions(t, { ...LABELS, ...labels }, client, isReadonly), createOutcome(t), createResult(t), createSteps(t, redraw),
      createArtifacts(t), createUsage(t), createDetails(t),
    ];
    texts = createTexts(t, nameOf);
    log = createLog(t, nameOf, redraw);
  }

  function bodyOf(session) {
    const columns = [main, [texts.say, log.say]].map((parts) => {
      const said = parts.map((part) => part(session, now.nowMs));
      return said.some(Boolean) && el("div", ...said);
    });
    return columns.some(Boolean) ? el("div.body", ...columns) : el("p.quiet", t("quiet"));
  }

  /** Returns whether there is more to draw. */
  function draw() {
    const snapshot = client.getSnapshot();
    const { session, connection: { state, transport }, status } = snapshot;
    // Whoever is no longer told does not know how long it has lasted.
    if (state !== "gave_up" || !now.nowMs) now.nowMs = Date.now() + snapshot.clockOffsetMs;
    if (session && session.epoch !== epoch) begin(session);
    const next = el(
      "section.root", { tabIndex: -1, ariaLabel: session?.title || t("session") },
      headOf(snapshot, now, t),
      session && bodyOf({ ...session, status }),
      session && el("footer.foot", joined(session.session_id, session.attempt > 1 && t("attempt", { n: session.attempt }), transport)),
    );
    patch(root, said, next);
    said = next;
    texts?.settle();
    return log?.fill(session);
  }

  return { root, draw };
}
