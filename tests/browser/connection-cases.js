// A `Follower` with a clock of its own, the frames of a server to feed it, and numbers that are random and always the same.

import { readFileSync } from "node:fs";

import { Follower } from "../../src/agentprogress/browser/package/connection-state.js";
import { ProgressError } from "../../src/agentprogress/browser/package/errors.js";
import { readFrame, readFrames, readPage } from "../../src/agentprogress/browser/package/frames.js";

export const SESSION = "job-7";
export const EPOCH = "I9kYN9ZwS0";
export const OTHER = "Zw9S0I9kYN";
export const START_MS = 1_790_000_000_000;
export const GRACE_MS = 30_000;
export const HEARTBEAT_MS = 15_000;
export const SILENCE_MS = 10_000;
export const TRANSPORTS = ["websocket", "sse", "long-poll"];
export const NOBODY = new ProgressError("network", "Nobody is there.", { retryable: true });
const TIME = "2026-11-22T20:15:40.464Z";

export const vectors = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"));

// Frames

export const welcome = (head = 0, resume = "fresh", epoch = EPOCH, more = {}) => ({
  type: "welcome", protocol: 1, session_id: SESSION, epoch, status: "running", resume, head,
  heartbeat_interval: HEARTBEAT_MS / 1000, retry_window: 1, server_time: TIME, ...more,
});
export const event = (seq, more = {}) => ({ seq, time: TIME, type: "session.resumed", ...more });
export const events = (from, to) => Array.from({ length: Math.max(to - from + 1, 0) }, (_, index) => event(from + index));
export const snapshot = (seq, epoch = EPOCH) => ({
  type: "snapshot", seq, state: { session_id: SESSION, epoch, seq, status: "running" },
});
export const gap = (from, to) => ({ type: "gap", missed_from: from, missed_to: to, reason: "evicted" });
export const heartbeat = (head = 0, window = 1) => ({
  type: "heartbeat", head, producer: "alive", retry_window: window, server_time: TIME,
});
export const reconnect = (retryAfter) => ({ type: "reconnect", retry_after: retryAfter });
export const error = (code, more = {}) => ({ type: "error", code, message: "Why.", retryable: false, ...more });
export const end = (head) => ({ type: "end", status: "completed", head });

/** The frames of a log of `head` events, of which those from `oldest` on are kept, as `joins.json` has them. */
export function joined({ epoch, head }, { resume, position, missed, snapshot: hasSnapshot }) {
  return [
    welcome(head, resume, epoch), ...(missed ? [gap(...missed)] : []), ...(hasSnapshot ? [snapshot(position, epoch)] : []),
    ...events(position + 1, head),
  ];
}

// Answers

export const stranger = (status, more = {}) => ({ status, problem: null, retryAfter: null, contentType: "text/html", ...more });
export const problem = (status, code, more = {}) =>
  stranger(status, { problem: { status, code, retryable: false, ...more }, contentType: "application/problem+json" });

/** One follower, and what its driver would do for it. The time is moved by the test alone, and by resting. */
export class Line {
  nowMs = START_MS;

  /** `options` are the follower's, or its transport alone. */
  constructor(options = {}) {
    const given = typeof options === "string" ? { transport: options } : options;
    this.follower = new Follower(SESSION, { random: () => 0.5, ...given });
  }

  get state() {
    return this.follower.state;
  }

  get error() {
    return this.follower.error;
  }

  /** How long it rests. */
  get delayMs() {
    return this.follower.retryAtMs - this.nowMs;
  }

  /** Rests as long as is asked for, and dials. */
  dial() {
    this.nowMs = Math.max(this.nowMs, this.follower.retryAtMs);
    const link = this.follower.next(this.nowMs);
    if (!link) throw new Error(`It does not dial while ${this.state}.`);
    return link;
  }

  /** Dials, and opens the connection; with frames, these come at once. Returns what was new among them. */
  open(...frames) {
    this.dial();
    this.follower.opened(this.nowMs);
    return frames.length ? this.send(...frames) : [];
  }

  /** Lets frames come as the transport in use has them; a page is whole with them. */
  send(...frames) {
    const { follower, nowMs } = this;
    const isPage = follower.transport === "long-poll";
    const news = follower.received(nowMs, travelled(follower.transport, frames));
    if (isPage && follower.link) follower.turned(nowMs);
    return news;
  }

  /** Lets the text of one message come, which may be none. */
  sendText(text) {
    const read = { websocket: readFrames, sse: (data) => [readFrame(data)], "long-poll": readPage }[this.follower.transport];
    try {
      return this.follower.received(this.nowMs, read(text));
    } catch (thrown) {
      this.follower.cut(this.nowMs, thrown);
      return [];
    }
  }

  /** The connection is over. */
  close(code = 1006) {
    if (this.follower.transport === "websocket") this.follower.closed(this.nowMs, code);
    else this.follower.cut(this.nowMs, NOBODY);
  }

  /** Dials, and is refused. A page cannot see by what a WebSocket is. */
  refuse(answer) {
    if (this.dial().transport === "websocket") this.follower.closed(this.nowMs, 1006);
    else this.follower.refused(this.nowMs, answer);
  }

  /** Dials, and finds nobody. */
  fail() {
    if (this.dial().transport === "websocket") this.follower.closed(this.nowMs, 1006);
    else this.follower.unreachable(this.nowMs, NOBODY);
  }

  /** Lets the time pass at which the connection is taken for dead. */
  waitInVain() {
    this.nowMs = this.follower.deadlineMs;
    this.follower.due(this.nowMs);
  }

  /** Joins the log of `head` events and takes them all. */
  follow(head = 1) {
    const seq = Number(this.follower.cursor?.split("-")[1] ?? 0);
    return this.open(welcome(head, this.follower.cursor ? "exact" : "fresh"), ...events(seq + 1, head));
  }
}

function travelled(transport, frames) {
  if (transport === "sse") return frames.map((frame) => readFrame(JSON.stringify(frame)));
  if (transport === "long-poll") return readPage(JSON.stringify({ frames, cursor: "", done: false }));
  return readFrames(JSON.stringify(frames));
}

/** Draws as `Math.random` does, the same for the same seed (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
