// One client's following, without I/O: told what happened, it says what to do next. All decisions are here: when to dial,
// by which transport and with which cursor, when a silent connection is dead, what a refusal means, when to give up.
// Time (milliseconds) and random numbers are passed in.

import { Backoff } from "./backoff.js";
import { passing, ProgressError } from "./errors.js";
import { isEvent, isKnown, malformed, PROTOCOL } from "./frames.js";
import { isForeign, isPassing, judgeAnswer, judgeClose, judgeFrame } from "./verdicts.js";

const PATIENCE_MS = 10000; // with a handshake, and with a heartbeat that is late
const STABLE_MS = 5000;
const SHORT_MS = 1000;
const MAX_SHORT = 3;
const GRACE_MS = 30000;
const PAUSE_MS = 1000;
const CLIMB_MS = 900000;
export const WAIT_MS = 20000;

// From the best one down. A page is not told why a handshake failed: so what never worked is left at once, and taken
// again when nobody answered the next one either, or after some minutes.
const TRANSPORTS = ["websocket", "sse", "long-poll"];

// What the table does not list is illegal: it throws and changes nothing.
const OUT = { cut: "reconnecting", ended: "ended", gave_up: "gave_up", left: "idle" };
const IN = { welcomed: "replaying", ...OUT };
const NEXT = {
  idle: { dialled: "connecting", left: "idle" },
  connecting: { dialled: "connecting", ...IN },
  replaying: { dialled: "replaying", caught_up: "live", ...IN },
  live: { dialled: "live", ...IN, welcomed: "live" },
  reconnecting: { dialled: "reconnecting", ...IN },
  ended: { left: "ended" },
  gave_up: { left: "gave_up", revived: "reconnecting" },
};

export function nextState(state, what) {
  if (!NEXT[state][what]) throw new Error(`${what} while ${state}`);
  return NEXT[state][what];
}

export class Follower {
  state = "idle";
  error = null;
  retryAtMs = null;
  producer = null;
  /** The attempt in hand, as `next` returned it; null between two. */
  link = null;
  #sessionId;
  #options;
  #backoff;
  // The position: the log's head is that of the last welcome, and what has reached it has caught up.
  #epoch = null;
  #seq = 0;
  #head;
  // The transports
  #transports;
  #worked = {};
  #short; // connections in a row
  #climbAtMs;
  // How it went
  #fruitless = 0; // attempts in a row; -1: the one in hand will not count
  #heartbeatMs = 15000;
  #welcomedAtMs; // since the last cut
  #doubtedSinceMs; // before any welcome, since when strangers alone have answered; then, since when the session is unknown
  #renews = false;

  /** `options`: {transport, maxAttempts, canRenew, random}. */
  constructor(sessionId, options) {
    const { transport = "auto", random } = options;
    this.#sessionId = sessionId;
    this.#options = options;
    this.#backoff = new Backoff(random);
    this.#transports = transport === "auto" ? TRANSPORTS : [transport];
    this.#use(this.#transports[0]);
  }

  get cursor() {
    return this.#epoch && `${this.#epoch}-${this.#seq}`;
  }

  get isOver() {
    return /ended|gave/.test(this.state);
  }

  // What to do

  /** Begins an attempt and returns it, or null while one is in hand, while it rests and when all is over. */
  next(nowMs) {
    if (this.isOver || this.link || nowMs < this.retryAtMs) return null;
    this.retryAtMs = null;
    if (nowMs >= this.#climbAtMs) this.#use(this.#transports[0]);
    this.#enter("dialled");
    const { transport, cursor } = this;
    // Once welcome and not cut since, a page may wait for news.
    const waits = this.#welcomedAtMs > 0 && transport === "long-poll";
    this.link = { transport, cursor, waits, renews: this.#renews, dialledAtMs: nowMs, heardAtMs: nowMs };
    this.#renews = false;
    return this.link;
  }

  /** When the connection is dead, if nothing is heard until then. */
  get deadlineMs() {
    if (!this.link) return Infinity;
    const { heardAtMs, openedAtMs, isWelcomed, waits } = this.link;
    if (!openedAtMs) return heardAtMs + PATIENCE_MS + (waits && WAIT_MS);
    // Bytes that are no welcome (a proxy's comments) keep nobody waiting; a page is read whole.
    return (isWelcomed ? heardAtMs : openedAtMs) + this.#heartbeatMs + PATIENCE_MS;
  }

  // What happens to the link

  heard(nowMs) {
    this.link.heardAtMs = nowMs;
  }

  opened(nowMs) {
    this.heard(nowMs);
    this.link.openedAtMs = nowMs;
  }

  /** Returns the frames that are new, in their order. A welcome after which all begins anew has `reset`. */
  received(nowMs, frames) {
    const { link } = this;
    const news = [];
    this.heard(nowMs);
    try {
      for (const frame of frames) {
        const isOurs = this.link === link && (frame.session ?? this.#sessionId) === this.#sessionId;
        if (!isOurs || !this.#take(frame, nowMs)) continue;
        news.push(frame);
        if (frame.type !== "welcome") this.#fruitless = -1;
        if (this.state === "replaying" && this.#seq >= this.#head) this.#enter("caught_up");
      }
    } catch (error) {
      this.cut(nowMs, error);
    }
    return news;
  }

  /** A page was read to its end, and the next one may be asked for. */
  turned(nowMs) {
    const { waits, cursor, dialledAtMs } = this.link;
    this.link = null;
    // A server that does not wait, or a cache, would be asked without a pause.
    if (waits && cursor === this.cursor) this.retryAtMs = Math.max(nowMs, dialledAtMs + PAUSE_MS);
  }

  /** A page is not told why a handshake failed: it asks by the next transport, whose answers can be read. */
  closed(nowMs, code) {
    if (this.link.openedAtMs) this.#judge(nowMs, judgeClose(code));
    else if (!this.#leave(nowMs)) this.cut(nowMs, passing("network", "The server cannot be reached."));
  }

  /** The connection broke. Several short ones in a row are the transport's fault. */
  cut(nowMs, error) {
    const { isWelcomed, openedAtMs } = this.link;
    this.#short = isWelcomed && nowMs - openedAtMs >= SHORT_MS ? 0 : this.#short + 1;
    this.#comeBack(nowMs, error);
    if (this.#short >= MAX_SHORT) this.#stepDown(nowMs);
  }

  /** Nobody answered, which says nothing against the better transports. */
  unreachable(nowMs, error) {
    this.#climb();
    this.#comeBack(nowMs, error);
  }

  /** An HTTP answer came that is not what was asked for. */
  refused(nowMs, answer) {
    const verdict = judgeAnswer(answer);
    const { link, cursor } = this;
    if (isPassing(answer.status)) this.#climb();
    // Only an event stream that was asked to go on can tell by 204 that there is no more.
    if (verdict.action === "done" && !(link.cursor && link.transport === "sse")) verdict.action = "come_back";
    if (isForeign(verdict.error)) {
      // Before any welcome, nothing but strangers' errors is most often a wrong address or a sign-in page.
      if (!cursor && this.#isLong(nowMs)) verdict.action = "give_up";
      // An application's own check, perhaps.
      else if (verdict.error.kind === "unauthorized" && this.#options.canRenew && !link.renews) verdict.action = "new_token";
    }
    this.#judge(nowMs, verdict);
  }

  /** Drops the link if it is dead by now. */
  due(nowMs) {
    // A proxy that collects a stream may hold back even its head (nginx does); one that swallows a WebSocket, its handshake.
    if (nowMs < this.deadlineMs || this.#leave(nowMs)) return;
    const { openedAtMs, heardAtMs } = this.link;
    const error = passing("timeout", `Nothing was heard for ${Math.round((nowMs - heardAtMs) / 1000)} s.`);
    this[openedAtMs ? "cut" : "unreachable"](nowMs, error);
  }

  // What the page and its user do

  /** Whatever was open is taken for dead, and what rests is tried at once. */
  wake() {
    if (this.link) this.#put("cut", passing("timeout", "The connection is made anew."));
    this.retryAtMs = null;
  }

  retryNow() {
    this.retryAtMs = null;
    if (this.state !== "gave_up") return;
    this.#enter("revived");
    this.#doubtedSinceMs = null;
    this.#fruitless = 0;
    this.#renews = true;
  }

  /** Nobody is interested any more; `next` begins again, from the cursor. */
  leave() {
    this.#put("left", this.error);
  }

  // Frames: duplicates are dropped here, and a hole that nobody announced is malformed, so that the client comes back with
  // its last cursor and misses nothing.

  /** Returns whether the frame is news. */
  #take(frame, nowMs) {
    const { type, seq, state, head } = frame;
    if (type === "welcome") return this.#welcome(frame, nowMs);
    if (/^(error|reconnect)$/.test(type)) return this.#judge(nowMs, judgeFrame(frame));
    if (!isKnown(frame)) return false;
    if (!this.link.isWelcomed) malformed();
    if (isEvent(frame)) return seq > this.#seq + 1 ? malformed() : this.#move(seq, 0);
    if (type === "snapshot") return state.epoch !== this.#epoch || state.seq !== seq ? malformed() : this.#move(seq, -1);
    if (type === "heartbeat") {
      this.#backoff.advise(windowOf(frame));
      this.producer = frame.producer;
    } else if (type === "end") {
      if (head !== this.#seq || head < this.#head) malformed();
      this.#put("ended", null);
    }
    return type !== "gap";
  }

  #move(seq, least) {
    const isNew = seq - this.#seq > least;
    if (isNew) this.#seq = seq;
    return isNew;
  }

  #welcome(frame, nowMs) {
    const { protocol, epoch, resume, head, heartbeat_interval } = frame;
    if (protocol !== PROTOCOL) {
      return this.#put("gave_up", new ProgressError("protocol", `The server speaks version ${protocol} of the protocol: reload the page.`));
    }
    // Else all that came before is void.
    frame.reset = epoch !== this.#epoch || !/exact|gap/.test(resume);
    if (frame.reset) this.#seq = 0;
    this.#epoch = epoch;
    this.#head = head;
    this.#backoff.welcome(windowOf(frame));
    if (heartbeat_interval > 0) this.#heartbeatMs = Math.min(heartbeat_interval, 300) * 1000;
    this.#doubtedSinceMs = this.error = this.producer = null;
    this.#worked[this.link.transport] = this.link.isWelcomed = true;
    this.#welcomedAtMs ??= nowMs;
    this.#enter("welcomed");
    return true;
  }

  // Verdicts

  #judge(nowMs, { action, error, floorMs, isDrawn }) {
    const { renews, isWelcomed } = this.link;
    if (action === "unknown_grace") {
      // After a restart the new process may not know the session yet.
      action = this.cursor && !this.#isLong(nowMs) ? "come_back" : "give_up";
      if (this.cursor && action === "give_up") error.message = "The server was restarted without a durable store.";
    }
    if (action === "new_token") {
      this.#renews = true;
      if (this.#options.canRenew && !renews) this.#put("cut", error);
      // It was good for a moment: the next one may be, but not without a pause.
      else if (this.#options.canRenew && isWelcomed) this.#comeBack(nowMs, error);
      else this.#put("gave_up", error);
    } else if (action === "done") this.#put("ended", null);
    else if (action === "give_up") this.#put("gave_up", error);
    else if (error.closeCode) this.cut(nowMs, error);
    else {
      if (error.code) this.#short = 0; // who speaks to us is not cutting us short
      this.#comeBack(nowMs, error, floorMs, isDrawn);
    }
  }

  /** Whether what sounds final has been said for so long that it is. */
  #isLong(nowMs) {
    return nowMs - (this.#doubtedSinceMs ??= nowMs) >= GRACE_MS;
  }

  #comeBack(nowMs, error, floorMs, isDrawn) {
    this.heard(nowMs);
    this.#put("cut", error);
    if (!this.cursor && !isForeign(error)) this.#doubtedSinceMs = null;
    this.#fruitless += 1;
    if (this.#fruitless >= this.#options.maxAttempts) this.#put("gave_up", error);
    else this.retryAtMs = nowMs + this.#backoff.nextDelay(floorMs, isDrawn);
  }

  /** What was open is no more. */
  #put(what, error) {
    // A connection that has lasted lets the attempts be counted anew.
    if (this.link?.heardAtMs - this.#welcomedAtMs >= STABLE_MS) {
      this.#backoff.reset();
      this.#fruitless = -1;
    }
    this.#enter(what);
    this.error = error;
    this.link = this.retryAtMs = null;
    this.#welcomedAtMs = undefined;
  }

  #enter(what) {
    this.state = nextState(this.state, what);
  }

  // Transports

  #use(transport, climbAtMs) {
    this.transport = transport;
    this.#climbAtMs = climbAtMs;
    this.#short = 0;
  }

  /** Leaves what never worked, at once. */
  #leave(nowMs) {
    return !this.#worked[this.transport] && this.#stepDown(nowMs);
  }

  /** Takes the next transport; returns whether there is one. */
  #stepDown(nowMs) {
    const next = this.#transports[this.#transports.indexOf(this.transport) + 1];
    if (!next) return false;
    this.#use(next, nowMs + CLIMB_MS);
    this.link = null;
    return true;
  }

  #climb() {
    if (!this.#worked[this.transport]) this.#use(this.#transports[0]);
  }
}

/** A window that is null is none. */
const windowOf = ({ retry_window }) => (retry_window ?? NaN) * 1000;
