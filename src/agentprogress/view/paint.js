// Painting: how text, values and rows get onto the page. Knows the DOM and formats, nothing of sessions. Only text nodes
// and the CSSOM are used, no markup is parsed, so the page lives under a strict content policy.

const FIELD_LIMIT = 400; // characters of one field of a message

const byId = (id) => document.getElementById(id);

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

function clip(text, limit) {
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "");
const inline = (value) => clip(typeof value === "string" ? value : JSON.stringify(value) ?? "", FIELD_LIMIT);
const numberFormat = new Intl.NumberFormat(undefined, { maximumFractionDigits: 4 });
const number = (value) => (Number.isFinite(value) ? numberFormat.format(value) : String(value));
const words = (key) => (key.charAt(0).toUpperCase() + key.slice(1)).replaceAll("_", " ");

function duration(fromText, toMs, isRunning) {
  const seconds = Math.max(0, (toMs - Date.parse(fromText)) / 1000);
  if (Number.isNaN(seconds)) return "";
  if (seconds < 10 && !isRunning) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const two = (value) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} m`;
}

function clockTime(text, withMs) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return "";
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
  return withMs ? `${clock}.${String(time.getMilliseconds()).padStart(3, "0")}` : clock;
}

/** Saves text as a file. A link made for the moment: a blob's address kept in the page would keep its bytes. */
function download(name, mediaType, text) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type: mediaType }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** A scroll box that stays at its end until the reader scrolls away from it. */
class Tail {
  constructor(box) {
    this.box = box;
    this.isFollowing = true;
    box.addEventListener("scroll", () => {
      this.isFollowing = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
    }, { passive: true });
  }

  settle() {
    if (this.isFollowing) this.box.scrollTop = this.box.scrollHeight;
  }
}

/** One row per record, made once, updated when the record was replaced, removed with it. */
class Rows {
  constructor(kind) {
    Object.assign(this, kind); // create(), place(row, record), update(row, record), keyOf(record), remove(row)
    this.rows = new Map();
  }

  remove(row) {
    row.root.remove();
  }

  clear() {
    for (const row of this.rows.values()) row.root.remove();
    this.rows.clear();
  }

  sync(records) {
    const gone = new Set(this.rows.keys());
    for (const record of records.values()) {
      const key = this.keyOf(record);
      gone.delete(key);
      let row = this.rows.get(key);
      if (!row) {
        row = this.create();
        this.rows.set(key, row);
        this.place(row, record);
      }
      if (row.record !== record) this.update(row, record);
      row.record = record;
    }
    for (const key of gone) {
      this.remove(this.rows.get(key));
      this.rows.delete(key);
    }
  }
}

/** An address the page may link to, or null: only http and https, also when it is relative. */
function linkable(url) {
  try {
    const target = new URL(url, location.href);
    return /^https?:$/.test(target.protocol) ? target.href : null;
  } catch {
    return null;
  }
}
