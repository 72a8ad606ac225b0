// Frames by server-sent events, read with fetch: EventSource gives up for good after any proxy's 502, hides why, and can
// send no token.

import { readFrame } from "./frames.js";
import { answerOf, bearer, typeOf } from "./http.js";
import { SseParser } from "./sse-parser.js";

/** Resolves when the stream has ended; rejects when it breaks. */
export async function followByEvents({ url, cursor, token, credentials, signal }, on) {
  const headers = { Accept: "text/event-stream", ...bearer(token) };
  const response = await fetch(url.route("events", { after: cursor }), { headers, credentials, signal, cache: "no-store" });
  if (response.status !== 200 || !typeOf(response).startsWith("text/event-stream")) return on.refused(await answerOf(response));
  on.opened();
  const parser = new SseParser();
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    on.heard();
    const messages = parser.feed(value);
    if (messages.length) on.frames(messages.map(({ data }) => readFrame(data)));
  }
}
