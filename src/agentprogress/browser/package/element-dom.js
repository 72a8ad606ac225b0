// How texts, values and rows get into the document. Knows nothing of sessions. Only nodes, properties and text are set and no
// markup is parsed, so that the element lives under a strict content policy.

const FIELD_CHARS = 400;
const NEAR_END_PX = 30;

/** Makes a node; `props` are properties, those of ARIA included. */
export function h(tag, props, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

/** Sets properties where they differ, since even setting the same text is work. */
export function set(node, props) {
  for (const name in props) if (node[name] !== props[name]) node[name] = props[name];
}

export const text = (node, textContent) => set(node, { textContent });

export const button = (label, onclick) => h("button", { type: "button", part: "button", textContent: label, onclick });

/** A titled part of the element; `beside` stands in the line of its heading. */
export const panel = (name, title, beside, ...content) =>
  h("section", { className: name, part: `panel ${name}`, hidden: true }, h("h3", {}, title, ...beside), ...content);

/** Something that scrolls, and so must be reachable by keyboard. */
export const box = (tag, ariaLabel, ...content) => h(tag, { className: "box", tabIndex: 0, role: "group", ariaLabel }, ...content);

/** One row per record: made by `create`, updated when the record was replaced, removed with it. */
export function createRows(key, create) {
  const rows = new Map();
  function sync(records) {
    const gone = new Set(rows.keys());
    for (const record of records) {
      const id = record[key];
      let row = rows.get(id);
      gone.delete(id);
      if (!row) rows.set(id, (row = create(record)));
      if (row.record === record) continue;
      row.record = record;
      row.update(record);
    }
    for (const id of gone) {
      const row = rows.get(id);
      rows.delete(id);
      if (row.remove) row.remove();
      else row.root.remove();
    }
  }
  return { rows, sync };
}

/** Keeps a scroll box at its end until its reader scrolls back. */
export function createTail(node, follows = true) {
  const tail = { follows, settle };
  let top = 0;
  function settle() {
    if (tail.follows) node.scrollTop = node.scrollHeight;
    top = node.scrollTop;
  }
  node.addEventListener("scroll", () => {
    // Whether it is the reader: sizes that become known late move the end away, but nothing up.
    if (node.scrollHeight - node.scrollTop - node.clientHeight < NEAR_END_PX) tail.follows = true;
    else if (node.scrollTop < top) tail.follows = false;
    top = node.scrollTop;
  }, { passive: true });
  return tail;
}

export const asText = (value) => (typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? ""));

export function inline(value) {
  const whole = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return whole.length > FIELD_CHARS ? `${whole.slice(0, FIELD_CHARS)}…` : whole;
}

const numbers = new Intl.NumberFormat(undefined, { maximumFractionDigits: 4 });
export const number = (value) => numbers.format(value);

const two = (value) => String(value).padStart(2, "0");

/** From a time of the wire to `toMs`: 7.3 s, 42 s, 3:07 or 1:02:33; tenths once it is over. */
export function duration(from, toMs, isOver) {
  const seconds = Math.max(0, (toMs - Date.parse(from)) / 1000);
  if (Number.isNaN(seconds)) return "";
  if (isOver && seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return `${hours ? `${hours}:${two(rest)}` : rest}:${two(whole % 60)}`;
}

/** The local time of day. */
export function clock(time) {
  const date = new Date(time);
  return time && !Number.isNaN(date.getTime()) ? [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":") : "";
}

/** Saves a value as a file. The link is made for the moment: an address kept in the page would keep its bytes. */
export function download(name, type, value) {
  const href = URL.createObjectURL(new Blob([asText(value)], { type }));
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

/** An address that may be linked to, or nothing: only http and https, also when it is relative. */
export function linkable(url) {
  try {
    const { href, protocol } = new URL(url, document.baseURI);
    if (/^https?:$/.test(protocol)) return href;
  } catch {}
}
