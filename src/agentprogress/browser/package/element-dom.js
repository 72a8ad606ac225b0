// How what is to be shown gets into the document. Knows nothing of sessions. What is drawn is said anew each time, by `el`, and
// `patch` changes what differs: an equal object costs nothing, so what has not changed is best kept and said again. Only nodes,
// properties and texts are set and no markup is parsed, so that all of it lives under a strict content policy.

const FIELD_CHARS = 400;
const NEAR_END_PX = 30;

class Said {
  constructor(spec, props, children) {
    Object.assign(this, { spec, props, children });
  }
}
const NOTHING = { props: {}, children: [], doms: [] };

/**
 * Says an element: `spec` is a tag, or a tag, a dot and classes, which are its parts too. Then properties, if any, and
 * children: more of this kind, nodes, texts; null, undefined, false and "" hold a place. One with an `id` may change its place.
 */
export const el = (spec, props, ...children) =>
  props?.constructor === Object ? new Said(spec, props, children) : new Said(spec, {}, [props, ...children]);

/** Makes a node at once. */
export function h(tag, props, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

export function make(said) {
  if (!(said instanceof Said)) return said instanceof Node ? said : said && new Text(said);
  const [tag, names] = said.spec.split(".");
  const node = h(tag);
  if (names) node.className = node.part = names;
  return patch(node, NOTHING, said);
}

/** Makes `node`, which shows `was`, show `now`. */
export function patch(node, was, now) {
  for (const name in now.props) if (was.props[name] !== now.props[name]) node[name] = now.props[name];
  const keyOf = (said, place) => said?.props?.id ?? place;
  const places = new Map(was.children.map((said, place) => [keyOf(said, place), place]));
  now.doms = now.children.map((said, place) => {
    const before = places.get(keyOf(said, place));
    const [old, dom] = [was.children[before], was.doms[before]];
    if (dom && old === said) return dom;
    return dom && old.spec && old.spec === said?.spec ? patch(dom, old, said) : make(said);
  });
  for (const dom of was.doms) if (dom && !now.doms.includes(dom)) dom.remove();
  let next = node.firstChild;
  for (const dom of now.doms) {
    if (!dom) continue;
    if (dom === next) next = next.nextSibling;
    else node.insertBefore(dom, next);
  }
  return node;
}

export const button = (label, onclick, props) => el("button.button", { type: "button", onclick, ...props }, label);

/** A part of the element, named and titled by `key`; `beside` stands in the line of its title. */
export const panel = (t, key, beside, ...content) => el(`section.panel ${key}`, el("div.bar", el("h3", t(key)), ...beside), ...content);

/** What scrolls must be reachable by keyboard, and so needs a name. */
export const box = (tag, ariaLabel, content) => el(`${tag}.box`, { tabIndex: 0, role: "group", ariaLabel }, content);

/** Keeps a scroll box at its end until its reader scrolls back. */
export function createTail(node, follows = true) {
  let top = 0;
  let height = 0;
  const tail = {
    follows,
    settle() {
      // Only where it has grown: a reader may just be on the way up.
      if (tail.follows && node.scrollHeight !== height) node.scrollTop = node.scrollHeight;
      height = node.scrollHeight;
      top = node.scrollTop;
    },
  };
  node.onscroll = () => {
    const left = node.scrollHeight - node.scrollTop - node.clientHeight;
    // Whoever moves up leaves the end, unless it is the end that came nearer.
    if (node.scrollTop < top) tail.follows = left < 1 && node.scrollHeight < height;
    else if (left < NEAR_END_PX) tail.follows = true;
    top = node.scrollTop;
  };
  return tail;
}

export const joined = (...texts) => texts.filter(Boolean).join(" · ");

export const asText = (value, indent = 2) => (typeof value === "string" ? value : JSON.stringify(value, null, indent));

export function inline(value) {
  const whole = asText(value, 0);
  return whole.length > FIELD_CHARS ? `${whole.slice(0, FIELD_CHARS)}…` : whole;
}

const numbers = new Intl.NumberFormat(undefined, { maximumFractionDigits: 4 });
export const number = (value) => numbers.format(value);

/** From a time of the wire to another, which says that it is over, or to one in milliseconds: 7.3 s, 0:42, 3:07 or 1:02:33. */
export function duration(from, to) {
  const ms = Math.max(0, new Date(to) - Date.parse(from));
  if (!(ms >= 0)) return "";
  if (to.length && ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const hours = Math.floor(ms / 3600000);
  const rest = new Date(ms).toISOString().slice(14, 19);
  return hours ? `${hours}:${rest}` : rest.replace(/^0/, "");
}

const times = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** The local time of day. */
export const clock = (time) => (Date.parse(time) ? times.format(Date.parse(time)) : "");

/** Saves a file. The link is made for the moment: an address kept in the page would keep its bytes. */
export function download(name, type, content) {
  const href = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}
