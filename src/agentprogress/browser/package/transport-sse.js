// Frames by server-sent events, read with fetch: EventSource gives up for good after any proxy's 502, hides why, and can
// send no token.

import { readFrame } from "./frames.js";
import { ask } from "./http.js";
import { SseParser } from "./sse-parser.js";

/** Resolves when the stream has ended; rejects when it breaks, or is none. */
export async function followByEvents({ url, cursor, ...options }, on) {
  const response = await ask(url.route("events", { after: cursor }), "text/event-stream", options);
  on("opened");
  const parser = new SseParser();
  const reader = response.body.getReader();
  for (let piece; !(piece = await reader.read()).done; ) {
    on("received", parser.feed(piece.value).map(({ data }) => readFrame(data)));
  }
}
