// The step tree, and who acts now. One row per step, under its parent's row.

const DEEPEST = 8;
const FOLD_FROM = 40; // steps: from here on, completed branches are shown folded
const ACTIVE_SHOWN = 3;
const FINISHED_FROM = 4; // finished leaves of one parent: more than these become one row and the last few
const FINISHED_SHOWN = 2;
const PLURALS = { agent: "agents", tool: "tool calls", model: "model calls" };

const kindLabel = (step) => (step.kind && step.kind !== "step" ? String(step.kind) : "");
/** What a step looks like: one that the session's end closed before it began never ran, whatever the verdict. */
const appearance = (step) => (OPEN.has(step.status) || step.started_at ? step.status : "skipped");

const stepRows = new Rows({
  keyOf: (step) => step.step_id, create: createStep, update: updateStep, place: placeStep,
  remove: (row) => {
    row.list?.finished?.root.remove();
    row.root.replaceWith(...(row.list?.children ?? [])); // a dropped parent's children stay
  },
});

function createStep() {
  const root = make("li", "step");
  const line = make("div", "step-row");
  const toggle = make("button", "toggle");
  toggle.type = "button";
  toggle.hidden = true;
  toggle.setAttribute("aria-expanded", "true");
  const row = {
    root, line, toggle, glyph: make("span", "glyph"), name: make("span", "step-name"), kind: make("span", "kind"),
    verdict: make("span", "hidden"), count: make("span", "figure"), time: make("span", "figure step-time"),
    message: make("p", "step-message"), meter: createMeter(), error: make("p", "step-error"), choice: null, depth: 0,
  };
  row.glyph.setAttribute("aria-hidden", "true");
  const figures = make("span", "step-figures");
  figures.append(row.count, row.time);
  const head = make("div", "step-head");
  head.append(row.name, row.kind, row.verdict, figures);
  const body = make("div", "step-body");
  body.append(head, row.message, row.meter, row.error);
  line.append(toggle, row.glyph, body);
  root.append(line);
  toggle.addEventListener("click", () => {
    row.choice = !row.list.hidden;
    foldRow(row, row.choice);
  });
  return row;
}

function createMeter() {
  const meter = make("span", "meter");
  for (const [name, value] of [["role", "progressbar"], ["aria-valuemin", 0], ["aria-valuemax", 100]]) meter.setAttribute(name, value);
  meter.append(make("span", "fill"));
  return meter;
}

function setMeter(meter, share) {
  meter.classList.toggle("indeterminate", share === null);
  setAttribute(meter, "aria-valuenow", share === null ? null : Math.round(share * 100));
  meter.firstElementChild.style.transform = share === null ? "" : `scaleX(${share})`;
}

/** Under its parent's row; deeper than the page has room for, beside it. */
function placeStep(row, step) {
  const parent = view.state.steps.get(step.parent_id);
  let above = parent && stepRows.rows.get(parent.step_id);
  if (above && above.depth >= DEEPEST) above = above.above;
  if (above && (row.root.contains(above.root) || !above.root.isConnected)) above = undefined; // a circle, or dropped
  row.above = above;
  row.depth = above ? above.depth + 1 : 0;
  if (!above) return byId("steps").append(row.root);
  if (!above.list) {
    above.list = make("ul", "plain");
    above.root.append(above.list);
    above.toggle.hidden = false;
  }
  above.list.append(row.root);
}

function foldRow(row, isFolded) {
  if (row.list.hidden === isFolded) return;
  row.list.hidden = isFolded;
  row.toggle.setAttribute("aria-expanded", String(!isFolded));
}

/** The row that stands for the finished leaves of a list but the last few, so that what is active stays in sight. */
function createFinished(list) {
  const finished = { root: make("li"), button: make("button", "more"), isOpen: false };
  finished.button.type = "button";
  finished.button.addEventListener("click", () => {
    finished.isOpen = !finished.isOpen;
    draw();
  });
  finished.root.append(finished.button);
  list.prepend(finished.root);
  return finished;
}

function foldFinished(list, rows) {
  const folded = rows.length > FINISHED_FROM ? rows.slice(0, -FINISHED_SHOWN) : [];
  if (folded.length) list.finished ??= createFinished(list);
  if (!list.finished) return;
  const { root, button, isOpen } = list.finished;
  rows.forEach((row, index) => { row.root.hidden = index < folded.length && !isOpen; });
  root.hidden = folded.length === 0;
  const kinds = new Set(folded.map((row) => row.record.kind));
  const noun = (kinds.size === 1 && PLURALS[[...kinds][0]]) || "steps";
  const failed = folded.filter((row) => row.record.status === "failed").length;
  setText(button, `${number(folded.length)} finished ${noun}${failed ? `, ${number(failed)} failed` : ""}`);
  setAttribute(button, "aria-expanded", String(isOpen));
}

function updateStep(row, step) {
  if (row.record && row.record.parent_id !== step.parent_id) placeStep(row, step); // planned elsewhere
  setAttribute(row.line, "data-step-id", step.step_id);
  setAttribute(row.line, "data-status", step.status);
  setAttribute(row.glyph, "data-status", appearance(step));
  setAttribute(row.line, "data-kind", step.kind ?? "step");
  setText(row.name, String(step.name ?? step.step_id));
  setText(row.kind, kindLabel(step));
  setText(row.verdict, `, ${appearance(step)}`);
  const message = step.reason || step.message;
  setText(row.message, message ?? "");
  row.message.hidden = !message;
  row.toggle.setAttribute("aria-label", `Steps of ${step.name}`);
  const hasTotal = step.total > 0;
  const share = step.progress ?? (hasTotal ? 0 : null);
  row.meter.hidden = share === null || step.status !== "running";
  row.meter.setAttribute("aria-label", `Progress of ${step.name}`);
  setMeter(row.meter, share);
  const current = step.current ?? (hasTotal ? 0 : null);
  const amount = current === null ? "" : number(current) + (hasTotal ? ` / ${number(step.total)}` : "");
  setText(row.count, amount && step.unit ? `${amount} ${step.unit}` : amount);
  setText(row.error, step.error ? errorLine(step.error) : "");
  row.error.hidden = !step.error;
}

const errorLine = (error) => error.message || error.code || "No reason was given.";

function renderSteps(state, nowMs) {
  stepRows.sync(state.steps);
  const isLarge = state.steps.size > FOLD_FROM;
  let completed = 0;
  let failed = 0;
  const leaves = new Map([[byId("steps"), []]]);
  for (const row of stepRows.rows.values()) if (row.list) leaves.set(row.list, []);
  for (const row of stepRows.rows.values()) {
    const step = row.record;
    const isRunning = step.status === "running";
    if (appearance(step) === "completed") completed += 1;
    if (appearance(step) === "failed") failed += 1;
    const untilMs = isRunning ? nowMs : Date.parse(step.ended_at);
    setText(row.time, step.started_at ? duration(step.started_at, untilMs, isRunning) : "");
    if (row.list) foldRow(row, row.choice ?? (isLarge && step.status === "completed"));
    // A phase is part of the outline, however short it was.
    const isFinished = !OPEN.has(step.status) && appearance(step) !== "skipped";
    if (isFinished && !row.list && step.kind !== "phase") leaves.get(row.root.parentNode).push(row);
    else row.root.hidden = false;
  }
  leaves.forEach((rows, list) => foldFinished(list, rows));
  const counts = [`${number(completed)} of ${number(state.steps.size)} completed`];
  if (failed) counts.push(`${number(failed)} failed`);
  if (state.omitted.steps) counts.push(`${number(state.omitted.steps)} earlier not shown`);
  setText(byId("steps-count"), state.steps.size ? counts.join(", ") : "");
  setText(byId("steps-empty"), ENDED.has(state.status) ? "No steps were reported." : "No steps yet.");
  byId("steps-empty").hidden = state.steps.size > 0;
}

/** The running steps that have no running step below them: who acts now, in the order of who they act for. */
function activeSteps(state) {
  const running = [...state.steps.values()].filter((step) => step.status === "running");
  const parents = new Set(running.map((step) => step.parent_id));
  const ids = [...state.steps.keys()];
  const place = (step) => ids.indexOf(step.parent_id ?? step.step_id);
  return running.filter((step) => !parents.has(step.step_id)).sort((one, other) => place(one) - place(other));
}

function renderNow(state, status) {
  const active = status === "running" ? activeSteps(state) : [];
  const node = byId("now");
  const paths = active.slice(-ACTIVE_SHOWN).map((step) => [state.steps.get(step.parent_id), step].filter(Boolean));
  const more = active.length - paths.length;
  const signature = JSON.stringify([paths.map((path) => path.map((step) => [step.kind, step.name])), more]);
  node.hidden = paths.length === 0;
  if (node.signature === signature) return;
  node.signature = signature;
  node.replaceChildren(make("span", "muted", "Now"), ...paths.map(activeChip));
  if (more > 0) node.append(make("span", "muted", `and ${number(more)} more`));
}

function activeChip(path) {
  const chip = make("span", "chip");
  path.forEach((step, index) => {
    if (index > 0) chip.append(make("span", "muted", " › "));
    if (kindLabel(step)) chip.append(make("span", "muted", `${kindLabel(step)} `));
    chip.append(String(step.name));
  });
  return chip;
}
