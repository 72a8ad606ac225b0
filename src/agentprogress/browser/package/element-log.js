// The log: rows that are made once, in chunks that cost nothing while out of sight, and that follow their end.

import { asText, button, clock, createTail, h, inline, number, panel, text } from "./element-dom.js";

const CHUNK = 100;
const ROWS_PER_FRAME = 500; // so that none is late, whatever has come at once
const RANKS = { trace: 0, debug: 0, warning: 2, warn: 2, error: 3, critical: 3, fatal: 3 };

const rankOf = ({ level }) => (Object.hasOwn(RANKS, level) ? RANKS[level] : 1);

/**
 * @param nameOf gives a step's name by its id.
 * @param redraw asks to be drawn again.
 */
export function createLog(t, nameOf, redraw) {
  const count = h("small");
  const filter = h("select", { ariaLabel: t("level"), part: "filter", onchange: () => again() });
  filter.append(...["all", "info", "warning", "error"].map((key, rank) => h("option", { value: rank, textContent: t(key) })));
  const latest = button(t("latest"), () => {
    tail.follows = true;
    rows.focus({ preventScroll: true });
    redraw();
  });
  // Read aloud a busy log would drown everything else; it is read by going to it.
  const rows = h("div", { className: "log", role: "log", ariaLive: "off", ariaLabel: t("log"), tabIndex: 0 });
  const root = panel("log", t("log"), [count, latest, filter], rows);
  const tail = createTail(rows);
  rows.addEventListener("scroll", redraw, { passive: true });
  let shownSeq = 0;

  function again() {
    rows.replaceChildren();
    shownSeq = 0;
    tail.follows = true;
    redraw();
  }

  function add(line) {
    let chunk = rows.lastChild;
    if (!chunk || chunk.childElementCount >= CHUNK) rows.append((chunk = h("div")));
    chunk.append(createRow(line, nameOf(line.step_id)));
    chunk.lastSeq = line.seq;
  }

  /** Returns whether there is more to draw. */
  function draw({ logs, omitted }) {
    let at = logs.length;
    while (at && logs[at - 1].seq > shownSeq) at -= 1;
    for (let room = ROWS_PER_FRAME; at < logs.length && room; at += 1) {
      shownSeq = logs[at].seq;
      if (rankOf(logs[at]) < filter.value) continue;
      add(logs[at]);
      room -= 1;
    }
    while (rows.firstChild?.lastSeq < logs[0]?.seq) rows.firstChild.remove();
    root.hidden = !logs.length;
    const total = logs.length + (omitted.logs ?? 0);
    const n = number(logs.length);
    text(count, total > logs.length ? t("last", { n, total: number(total) }) : n);
    tail.settle();
    latest.hidden = tail.follows;
    return at < logs.length;
  }

  return { root, draw };
}

function createRow(line, stepName) {
  const body = h("span", {}, line.message);
  if (stepName) body.append(" ", h("small", {}, stepName));
  for (const [key, value] of Object.entries(line.fields ?? {})) body.append(" ", h("small", {}, `${key}=${inline(value)}`));
  const row = h("p", {}, h("time", { dateTime: line.time ?? "" }, clock(line.time)), h("b", {}, line.level), body);
  row.dataset.l = rankOf(line);
  return row;
}
