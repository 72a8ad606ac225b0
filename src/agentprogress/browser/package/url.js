// The URLs of a session. They are rewritten as text, because `new URL()` would change what a server may tell apart.
// No sentence repeats any part of a URL: it may be a secret.

import { ProgressError } from "./errors.js";

const UNSAFE = /^$|[\s\\\0-\x1f\x7f-\x9f]/;
const ABSOLUTE = /^[a-z][a-z\d+.-]*:/i;
const PARTS = /^(?:http|ws)(s?):\/\/([^/?#]*)([^?#]*)(\?[^#]*)?/i;

function refuse(why) {
  throw new ProgressError("protocol", `The URL ${why}.`);
}

/** Returns `s` or nothing, then host and port, the path and the query, as they are written. */
function partsOf(url, base = globalThis.document?.baseURI ?? globalThis.location?.href) {
  let text = `${url}`;
  if (UNSAFE.test(text)) refuse("is empty, or has white space, control characters or backslashes");
  try {
    if (base && !ABSOLUTE.test(text)) text = new URL(text, base).href;
    decodeURIComponent(new URL(text).pathname);
  } catch {
    refuse("cannot be read");
  }
  const parts = PARTS.exec(text) ?? refuse("must begin with http://, https://, ws:// or wss://");
  const [, secure, authority, path, query = ""] = parts;
  if (authority.includes("@")) refuse("may have no user or password, because URLs are logged; pass a token");
  if (!authority) refuse("has no host");
  return [secure.toLowerCase(), authority, path, query];
}

export function websocketUrl(url, base) {
  const [secure, ...rest] = partsOf(url, base);
  return `ws${secure}://${rest.join("")}`;
}

export class SessionUrl {
  #secure;
  #path; // with host and port
  #query;

  constructor(url, base) {
    const [secure, authority, path, query] = partsOf(url, base);
    if (!/[^/]/.test(path)) refuse("names no session: its path must end in the session's id");
    this.#secure = secure;
    this.#path = authority + path.replace(/\/+$/, "");
    this.#query = query.slice(1);
  }

  get href() {
    return this.route("");
  }

  get sessionId() {
    return decodeURIComponent(this.#path.split("/").at(-1));
  }

  route(name, query) {
    return this.#url("http", name, query);
  }

  websocket(after) {
    return this.#url("ws", "ws", { after });
  }

  #url(scheme, name, query = {}) {
    const added = Object.entries(query).map((pair) => pair[1] !== null && pair.map(encodeURIComponent).join("="));
    const all = [this.#query, ...added].filter(Boolean).join("&");
    return `${scheme}${this.#secure}://${this.#path}${name && `/${name}`}${all && `?${all}`}`;
  }
}
