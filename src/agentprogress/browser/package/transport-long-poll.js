// Frames by pages, one request after the other: works through everything that lets HTTP pass.

import { WAIT_MS } from "./connection-state.js";
import { readPage } from "./frames.js";
import { ask, JSON_TYPE } from "./http.js";

const MAX_EVENTS = 256;

/** Asks for one page; resolves when it is read. */
export async function followByPages({ url, cursor, waits, ...options }, on) {
  const query = { after: cursor, limit: MAX_EVENTS, wait: waits ? WAIT_MS / 1000 : null };
  const response = await ask(url.route("page", query), JSON_TYPE, options);
  on("opened");
  on("received", readPage(await response.text()));
  on("turned");
}
