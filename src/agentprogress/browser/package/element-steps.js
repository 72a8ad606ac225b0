// The tree of steps: each beneath its parent, with what has finished folded away.

import { duration, el, joined, number, panel } from "./element-dom.js";

const DEEPEST = 8;
const LARGE = 40; // steps: from here on completed branches are folded
const FINISHED_FROM = 4; // more finished leaves beneath one parent than these become one row and the last few
const FINISHED_SHOWN = 2;
const KINDS = /^(phase|agent|tool|model)$/; // another may have the name of another part
const STEPS_PER_FRAME = 50; // more than before

const isOpen = ({ status }) => status === "running" || status === "planned";

/** What a step looks like: one that the session's end closed before it began never ran, whatever the verdict. */
export const appearance = (step) => (isOpen(step) || step.started_at ? step.status : "skipped");

export const glyph = (status, t) => el(`i.glyph ${status}`, { role: "img", ariaLabel: t(status) });

export const errorLine = ({ message, code }) => message || code;

function amount({ current, total, unit }) {
  if (current === null && !total) return "";
  return number(current ?? 0) + (total ? ` / ${number(total)}` : "") + (unit ? ` ${unit}` : "");
}

export function createSteps(t, redraw) {
  const lines = new WeakMap();
  const opened = new Set(); // rows of finished steps, by their parents
  let children;
  let isLarge;
  let nowMs;
  let room = 0;

  function makeLine(step) {
    const { kind, name, status, progress, total, started_at, ended_at, reason, message, error } = step;
    const look = appearance(step);
    return el(
      `div.step ${KINDS.test(kind) ? kind : ""}`,
      glyph(look, t),
      el(
        "div",
        el(
          "div.line", el("b", name), el("small", kind !== "step" && t(kind)),
          el("small.figures", el("span", amount(step)), el("span", started_at && duration(started_at, ended_at ?? nowMs))),
        ),
        el("p", reason ?? message),
        status === "running" && (progress !== null || total) && el("progress", { ariaLabel: name, value: Number(progress) || 0 }),
        error && el("p.error", errorLine(error)),
      ),
    );
  }

  /** Made anew for another record, or, since time passes, in another second. */
  function line(step) {
    const second = step.status === "running" && Math.floor(nowMs / 1000);
    if (lines.get(step)?.second !== second) lines.set(step, { second, said: makeLine(step) });
    return lines.get(step).said;
  }

  const row = ({ step_id }, content) => el("li", { id: step_id }, content);

  const count = (steps, look) => steps.filter((step) => appearance(step) === look).length;

  const withFailed = (said, steps) => joined(said, count(steps, "failed") && t("some_failed", { n: number(count(steps, "failed")) }));

  function finished(parentId, steps) {
    const label = withFailed(t("finished", { n: number(steps.length) }), steps);
    const ontoggle = ({ target }) => {
      opened[target.open ? "add" : "delete"](parentId);
      redraw();
    };
    const rows = opened.has(parentId) ? steps.map((step) => row(step, line(step))) : [];
    return el("li", { id: "" }, el("details.finished", { ontoggle }, el("summary", label), el("ul", ...rows)));
  }

  function branch(step, depth) {
    const below = list(step.step_id, depth + 1);
    const own = line(step);
    if (!below.length) return row(step, own);
    // Deeper than there is room for, steps stand beside their parents.
    if (depth >= DEEPEST) return [row(step, own), ...below];
    const open = !isLarge || step.status !== "completed";
    return row(step, el("details", { open }, el("summary", own), el("ul", ...below)));
  }

  function list(parentId, depth) {
    const steps = children.get(parentId) ?? [];
    // A phase is part of the outline, however short it was.
    const leaves = steps.filter((step) => !isOpen(step) && step.started_at && step.kind !== "phase" && !children.has(step.step_id));
    const folded = new Set(leaves.length > FINISHED_FROM ? leaves.slice(0, -FINISHED_SHOWN) : []);
    const rows = steps.filter((step) => !folded.has(step)).flatMap((step) => branch(step, depth));
    return folded.size ? [finished(parentId, [...folded]), ...rows] : rows;
  }

  return ({ steps, omitted }, ms) => {
    room = Math.min(room + STEPS_PER_FRAME, steps.length);
    if (room < steps.length) redraw();
    const ids = new Set(steps.map(({ step_id }) => step_id));
    nowMs = ms;
    isLarge = steps.length > LARGE;
    children = Map.groupBy(steps.slice(0, room), ({ parent_id }) => (ids.has(parent_id) ? parent_id : null));
    const total = number(steps.length + (omitted.steps ?? 0));
    const counts = withFailed(t("of", { n: number(count(steps, "completed") + (omitted.steps ?? 0)), total }), steps);
    return steps.length > 0 && panel(t, "steps", [el("small", counts)], el("ul.tree", ...list(null, 0)));
  };
}
