// The tree of steps: a row for each, beneath the row of its parent, with what has finished folded away.

import { createRows, duration, h, number, panel, set, text } from "./element-dom.js";

const DEEPEST = 8;
const LARGE = 40; // steps: from here on completed branches are folded
const FINISHED_FROM = 4; // more finished leaves beneath one parent than these become one row and the last few
const FINISHED_SHOWN = 2;

export const isOpen = ({ status }) => status === "running" || status === "planned";

/** What a step looks like: one that the session's end closed before it began never ran, whatever the verdict. */
export const appearance = (step) => (isOpen(step) || step.started_at ? step.status : "skipped");

export function mark(glyph, status, t) {
  glyph.dataset.s = status;
  set(glyph, { role: "img", ariaLabel: t(status) });
}

export const errorLine = (error) => error.message || error.code;

function amount({ current, total, unit }) {
  const hasTotal = total > 0;
  if (current === null && !hasTotal) return "";
  return [number(current ?? 0) + (hasTotal ? ` / ${number(total)}` : ""), unit].filter(Boolean).join(" ");
}

export function createSteps(t) {
  const count = h("small");
  const top = { list: h("ul", { className: "tree" }), depth: 0, done: [] };
  const root = panel("steps", t("steps"), [count], top.list);
  const running = new Set();
  const refolded = new Set();
  const { rows, sync } = createRows("step_id", create);
  let seen;

  function create(step) {
    const [glyph, name, kind, figure, time, message, error] = ["i", "b", "small", "small", "small", "p", "p"].map((tag) => h(tag));
    const meter = h("progress", { max: 1 });
    const head = h("div", { className: "line" }, name, kind, h("span", { className: "figures" }, figure, time));
    glyph.className = "g";
    error.className = "bad";
    const row = { done: [], time, isOver: false, update, remove: () => remove(row) };
    row.line = h("div", { className: "row", part: "step" }, glyph, h("div", { className: "grow" }, head, message, meter, error));
    row.root = h("li", {}, row.line);
    place(row, step);

    function update(step) {
      const look = appearance(step);
      const isRunning = step.status === "running";
      if (row.parentId !== step.parent_id) place(row, step); // it was planned elsewhere
      mark(glyph, look, t);
      set(row.line, { className: `row ${look}` });
      row.line.dataset.kind = step.kind;
      text(name, step.name);
      text(kind, step.kind === "step" ? "" : t(step.kind));
      text(figure, amount(step));
      text(time, step.started_at && step.ended_at ? duration(step.started_at, Date.parse(step.ended_at), true) : "");
      text(message, step.reason ?? step.message ?? "");
      text(error, step.error ? errorLine(step.error) : "");
      set(meter, { hidden: !isRunning || (step.progress === null && !step.total), ariaLabel: step.name, value: step.progress ?? 0 });
      running[isRunning ? "add" : "delete"](row);
      // A phase is part of the outline, however short it was.
      const isOver = !isOpen(step) && look !== "skipped" && step.kind !== "phase" && !row.list;
      if (isOver === row.isOver) return;
      row.isOver = isOver;
      if (isOver) fold(row);
      else place(row, step);
    }
    return row;
  }

  /** Beneath its parent's row; deeper than there is room for, beside it. */
  function place(row, step) {
    unqueue(row);
    let above = rows.get(step.parent_id) ?? top;
    if (above.depth >= DEEPEST) above = above.above;
    if (row.root.contains(above.root)) above = top; // a circle
    if (!above.list) {
      above.list = h("ul");
      above.root.append((above.branch = h("details", { open: true }, h("summary", {}, above.line), above.list)));
    }
    Object.assign(row, { above, depth: above.depth + 1, parentId: step.parent_id });
    above.list.append(row.root);
  }

  function unqueue(row) {
    if (row.above) row.above.done = row.above.done.filter((other) => other !== row);
  }

  /** Puts finished leaves but the last few behind one row, so that what is active stays in sight. */
  function fold(row) {
    const { above } = row;
    above.done.push(row);
    if (above.done.length <= FINISHED_FROM) return;
    if (!above.finished) {
      above.finished = { label: h("summary"), list: h("ul") };
      above.list.prepend(h("li", {}, h("details", { className: "finished" }, above.finished.label, above.finished.list)));
    }
    above.finished.list.append(...above.done.splice(0, above.done.length - FINISHED_SHOWN).map((row) => row.root));
    refolded.add(above.finished);
  }

  function remove(row) {
    unqueue(row);
    running.delete(row);
    if (!row.list) return row.root.remove();
    // The children of a step that was dropped stay.
    for (const other of rows.values()) if (other.above === row) other.above = row.above;
    row.root.replaceWith(...row.list.children);
  }

  function tell(steps, omitted) {
    const looks = steps.map(appearance);
    const [completed, failed] = ["completed", "failed"].map((look) => looks.filter((other) => other === look).length);
    const parts = [t("of", { n: number(completed), total: number(steps.length) })];
    if (failed) parts.push(t("some_failed", { n: number(failed) }));
    if (omitted) parts.push(t("earlier", { n: number(omitted) }));
    text(count, parts.join(", "));
  }

  function draw({ steps, omitted }, nowMs) {
    if (seen !== steps) {
      seen = steps;
      root.hidden = !steps.length;
      sync(steps);
      tell(steps, omitted.steps);
      for (const { label, list } of refolded) {
        const failed = list.querySelectorAll(":scope > li > .failed").length;
        text(label, t("finished", { n: number(list.childElementCount) }) + (failed ? `, ${t("some_failed", { n: number(failed) })}` : ""));
      }
      refolded.clear();
      if (steps.length > LARGE) for (const row of rows.values()) foldBranch(row);
    }
    for (const row of running) text(row.time, duration(row.record.started_at, nowMs));
  }

  return { root, draw, nameOf: (id) => rows.get(id)?.record.name };
}

/** Once: whoever opens it again wants it open. */
function foldBranch(row) {
  if (!row.branch || row.isFolded || row.record.status !== "completed") return;
  row.isFolded = true;
  row.branch.open = false;
}
