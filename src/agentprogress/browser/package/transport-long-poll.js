// Frames by pages, one request after the other: works through everything that lets HTTP pass.

import { WAIT_MS } from "./connection-state.js";
import { readPage } from "./frames.js";
import { answerOf, bearer, typeOf } from "./http.js";

const MAX_EVENTS = 256;

/** Asks for one page; resolves when it is read. */
export async function followByPages({ url, cursor, waits, token, credentials, signal }, on) {
  const query = { after: cursor, limit: MAX_EVENTS, wait: waits ? WAIT_MS / 1000 : null };
  const response = await fetch(url.route("page", query), { headers: bearer(token), credentials, signal, cache: "no-store" });
  if (response.status !== 200 || !typeOf(response).startsWith("application/json")) return on.refused(await answerOf(response));
  on.opened();
  on.frames(readPage(await response.text()));
  on.turned();
}
