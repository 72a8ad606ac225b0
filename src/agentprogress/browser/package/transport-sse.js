// Frames by server-sent events, read with fetch: EventSource gives up for good after any proxy's 502, hides why, and can
// send no token.

import { readFrame } from "./frames.js";
import { ask } from "./http.js";
import { SseParser } from "./sse-parser.js";

const SLICE_BYTES = 65536;

/** Lets the page go on. Not by a timer: those of a hidden page would take a minute. */
const breath = () => new Promise((resolve) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => resolve(port1.close());
  port2.postMessage(null);
});

/** Resolves when the stream has ended; rejects when it breaks, or is none. */
export async function followByEvents({ url, cursor, ...options }, on) {
  const response = await ask(url.route("events", { after: cursor }), "text/event-stream", options);
  on("opened");
  const parser = new SseParser();
  const reader = response.body.getReader();
  for (let piece; !(piece = await reader.read()).done; ) {
    // After a stall one piece may have all that the browser has held: thousands of events.
    for (let at = 0; at < piece.value.length; at += SLICE_BYTES) {
      if (at) await breath();
      on("received", parser.feed(piece.value.subarray(at, at + SLICE_BYTES)).map(({ data }) => readFrame(data)));
    }
  }
}
