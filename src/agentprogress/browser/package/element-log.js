// The log: rows that are made once, in chunks that cost nothing while out of sight, and that follow their end.

import { button, clock, createTail, el, inline, make, number, panel } from "./element-dom.js";

const CHUNK = 50;
const ROWS_PER_FRAME = 60; // so that none is late, whatever has come at once
const LEVELS = ["debug", "info", "warning", "error", "critical"];

const rankOf = ({ level }) => (LEVELS.includes(level) ? LEVELS.indexOf(level) : 1);

/** @param nameOf gives a step's name by its id. */
export function createLog(t, nameOf, redraw) {
  // Read aloud a busy log would drown everything else; it is read by going to it.
  const rows = make(el("div.lines", { role: "log", ariaLive: "off", ariaLabel: t("log"), tabIndex: 0 }));
  const tail = createTail(rows);
  const filter = make(el(
    "select.filter", { ariaLabel: t("level"), onchange: again },
    ...LEVELS.slice(0, -1).map((level, value) => el("option", { value }, t(value ? level : "all"))),
  ));
  let shownSeq = 0;
  rows.addEventListener("scroll", redraw);

  function again() {
    rows.replaceChildren();
    shownSeq = 0;
    toLatest();
  }

  function toLatest() {
    tail.follows = true;
    rows.scrollTop = rows.scrollHeight;
    redraw();
  }

  function add(line) {
    let chunk = rows.lastChild;
    if (!(chunk?.childElementCount < CHUNK)) rows.append((chunk = make(el("div"))));
    chunk.append(make(rowOf(line, nameOf(line.step_id))));
    chunk.lastSeq = line.seq;
  }

  return {
    say({ logs, omitted }) {
      const n = number(logs.length);
      const count = omitted.logs ? t("of", { n, total: number(logs.length + omitted.logs) }) : n;
      const latest = !tail.follows && button(t("latest"), () => {
        rows.focus({ preventScroll: true });
        toLatest();
      });
      return logs.length > 0 && panel(t, "log", [el("small", count), latest, filter], rows);
    },

    /** Returns whether there is more to add. */
    fill({ logs }) {
      let at = logs.length;
      while (at && logs[at - 1].seq > shownSeq) at -= 1;
      for (let room = ROWS_PER_FRAME; at < logs.length && room; at += 1) {
        shownSeq = logs[at].seq;
        if (rankOf(logs[at]) < filter.value) continue;
        add(logs[at]);
        room -= 1;
      }
      while (rows.firstChild?.lastSeq < logs[0]?.seq) rows.firstChild.remove();
      tail.settle();
      return at < logs.length;
    },
  };
}

const rowOf = (line, stepName) => el(
  `p.level-${rankOf(line)}`,
  el("b", `${clock(line.time)} ${line.level}`),
  el(
    "span", line.message, stepName && el("small", ` ${stepName}`),
    ...Object.entries(line.fields ?? {}).map(([key, value]) => el("small", ` ${key}=${inline(value)}`)),
  ),
);
