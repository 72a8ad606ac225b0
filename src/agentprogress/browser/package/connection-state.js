// One client's following, without I/O: told what happened, it says what to do next. All decisions are here: when to dial,
// by which transport and with which cursor, when a silent connection is dead, what a refusal means, when to give up.
// Time (milliseconds) and random numbers are passed in.

import { Backoff } from "./backoff.js";
import { passing, ProgressError } from "./errors.js";
import { isEvent, malformed, PROTOCOL } from "./frames.js";
import { Ladder } from "./ladder.js";
import { Position } from "./position.js";
import { isPassing, judgeAnswer, judgeClose, judgeFrame } from "./verdicts.js";

const CONNECT_MS = 10000;
const SILENCE_MS = 10000;
const STABLE_MS = 5000;
const SHORT_MS = 1000;
const GRACE_MS = 30000;
const PAUSE_MS = 1000;
export const WAIT_MS = 20000;

// What the table does not list is illegal: it throws and changes nothing.
const OUT = { cut: "reconnecting", ended: "ended", gave_up: "gave_up", left: "idle" };
const NEXT = {
  idle: { dialled: "connecting", left: "idle" },
  connecting: { dialled: "connecting", welcomed: "replaying", ...OUT },
  replaying: { dialled: "replaying", welcomed: "replaying", caught_up: "live", ...OUT },
  live: { dialled: "live", welcomed: "live", ...OUT },
  reconnecting: { dialled: "reconnecting", welcomed: "replaying", ...OUT },
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
  #position = new Position();
  #backoff;
  #ladder;
  #options;
  #sessionId;
  #fruitless = 0;
  #heartbeatMs = 15000;
  #wasWelcomed = false;
  #welcomedAtMs = null; // since the last cut
  #unknownSinceMs = null;
  #foreignSinceMs = null;
  #renews = false;
  #waits = false;

  /** `options`: {transport, maxAttempts, canRenew, random}. */
  constructor(sessionId, options) {
    this.#sessionId = sessionId;
    this.#options = options;
    this.#ladder = new Ladder(options.transport ?? "auto");
    this.#backoff = new Backoff(options.random);
  }

  get cursor() {
    return this.#position.cursor;
  }

  get transport() {
    return this.#ladder.transport;
  }

  get isOver() {
    return /ended|gave/.test(this.state);
  }

  // What to do

  /** Begins an attempt and returns it, or null while one is in hand, while it rests and when all is over. */
  next(nowMs) {
    if (this.isOver || this.link || nowMs < this.retryAtMs) return null;
    this.retryAtMs = null;
    this.#ladder.climb(nowMs);
    this.#enter("dialled");
    this.link = {
      transport: this.transport, cursor: this.cursor, waits: this.#waits && this.transport === "long-poll", renews: this.#renews,
      dialledAtMs: nowMs, heardAtMs: nowMs, openedAtMs: 0, isWelcomed: false, isAnew: false, brought: false,
    };
    this.#renews = false;
    return this.link;
  }

  /** When the connection is dead, if nothing is heard until then. */
  get deadlineMs() {
    const { link } = this;
    if (!link) return Infinity;
    if (!link.openedAtMs) return link.heardAtMs + CONNECT_MS + (link.waits && WAIT_MS);
    // Bytes that are no welcome (a proxy's comments) keep nobody waiting; a page is read whole.
    return (link.isWelcomed ? link.heardAtMs : link.openedAtMs) + this.#heartbeatMs + SILENCE_MS;
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
        if (this.link !== link) break;
        if ((frame.session ?? this.#sessionId) !== this.#sessionId || !this.#take(frame, nowMs)) continue;
        news.push(frame);
        link.brought ||= frame.type !== "welcome";
      }
    } catch (error) {
      this.cut(nowMs, error);
    }
    return news;
  }

  /** A page was read to its end, and the next one may be asked for. */
  turned(nowMs) {
    const { waits, isAnew, brought, dialledAtMs } = this.link;
    this.link = null;
    this.#waits = true;
    // A server that does not wait, or a cache, would be asked without a pause.
    if (waits && (isAnew || !brought) && nowMs - dialledAtMs < SHORT_MS) this.retryAtMs = nowMs + PAUSE_MS;
  }

  /** A page is not told why a handshake failed: it asks by the next transport, whose answers can be read. */
  closed(nowMs, code) {
    if (this.link.openedAtMs) this.#judge(nowMs, judgeClose(code), true);
    else if (this.#ladder.hasWorked || !this.#stepDown(nowMs)) this.cut(nowMs, passing("network", "The server cannot be reached."));
  }

  /** The connection broke. */
  cut(nowMs, error) {
    const { isWelcomed, openedAtMs } = this.link;
    this.#ladder.cut(nowMs, !isWelcomed || nowMs - openedAtMs < SHORT_MS);
    this.#comeBack(nowMs, error);
  }

  /** Nobody answered. */
  unreachable(nowMs, error) {
    this.#ladder.reset();
    this.#comeBack(nowMs, error);
  }

  /** An HTTP answer came that is not what was asked for. */
  refused(nowMs, answer) {
    const verdict = judgeAnswer(answer);
    const { code, kind } = verdict.error;
    let sinceMs = null;
    // Only an event stream that was asked to go on can tell by 204 that there is no more.
    if (verdict.action === "done" && !(this.link.cursor && this.transport === "sse")) verdict.action = "come_back";
    if (isPassing(answer.status)) this.#ladder.reset();
    else if (!code) {
      // Before any welcome, nothing but strangers' errors is most often a wrong address or a sign-in page.
      sinceMs = this.#foreignSinceMs ?? nowMs;
      if (!this.#wasWelcomed && nowMs - sinceMs >= GRACE_MS) verdict.action = "give_up";
      else if (kind === "unauthorized" && this.#canRenew) verdict.action = "new_token"; // an application's own check
    }
    this.#judge(nowMs, verdict);
    this.#foreignSinceMs = sinceMs;
  }

  /** Drops the link if it is dead by now. */
  due(nowMs) {
    if (nowMs < this.deadlineMs) return;
    const { openedAtMs, isWelcomed, heardAtMs } = this.link;
    // A proxy that collects a stream may hold back even its head (nginx does); one that swallows a WebSocket, its handshake.
    if (!isWelcomed && !this.#ladder.hasWorked && this.#stepDown(nowMs)) return;
    this[openedAtMs ? "cut" : "unreachable"](nowMs, passing("timeout", `Nothing was heard for ${Math.round((nowMs - heardAtMs) / 1000)} s.`));
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
    this.#foreignSinceMs = this.#unknownSinceMs = null;
    this.#fruitless = 0;
    this.#renews = true;
  }

  /** Nobody is interested any more; `next` begins again, from the cursor. */
  leave() {
    this.#put("left", this.error);
  }

  // Frames

  /** Returns whether the frame is news. */
  #take(frame, nowMs) {
    const { type } = frame;
    const position = this.#position;
    if (type === "welcome") return this.#welcome(frame, nowMs);
    if (/^(error|reconnect)$/.test(type)) this.#judge(nowMs, judgeFrame(frame));
    else if (!isEvent(frame) && !/^(gap|snapshot|heartbeat|end)$/.test(type)) return false; // of a later version
    else if (!this.link.isWelcomed) malformed();
    else if (isEvent(frame)) return this.#moved(position.event(frame));
    else if (type === "snapshot") return this.#moved(position.snapshot(frame));
    else if (type === "heartbeat") {
      this.#backoff.advise((frame.retry_window ?? NaN) * 1000);
      this.producer = frame.producer;
    } else if (type === "end") {
      position.end(frame);
      this.#put("ended", null);
    }
    return /end|heartbeat/.test(type);
  }

  #moved(isNew) {
    if (this.state === "replaying" && this.#position.seq >= this.#position.head) this.#enter("caught_up");
    return isNew;
  }

  #welcome(frame, nowMs) {
    const { protocol, retry_window, heartbeat_interval } = frame;
    if (protocol !== PROTOCOL) {
      this.#put("gave_up", new ProgressError("protocol", `The server speaks version ${protocol} of the protocol: load the page anew.`));
      return false;
    }
    frame.reset = this.#position.welcome(frame);
    this.link.isAnew = frame.reset && !!this.link.cursor;
    this.#backoff.welcome(retry_window * 1000);
    this.#ladder.worked();
    this.#unknownSinceMs = this.#foreignSinceMs = this.error = this.producer = null;
    this.#wasWelcomed = this.link.isWelcomed = true;
    this.#welcomedAtMs ??= nowMs;
    if (heartbeat_interval > 0) this.#heartbeatMs = Math.min(heartbeat_interval, 300) * 1000;
    this.#enter("welcomed");
    return this.#moved(true);
  }

  // Verdicts

  #judge(nowMs, { action, error, floorMs, isDrawn }, wasCut) {
    if (action === "unknown_grace") {
      // After a restart the new process may not know the session yet.
      this.#unknownSinceMs ??= nowMs;
      action = this.#wasWelcomed && nowMs - this.#unknownSinceMs < GRACE_MS ? "come_back" : "give_up";
      if (this.#wasWelcomed && action === "give_up") error = new ProgressError(error.kind, "The server was restarted without a durable store.", error);
    }
    if (action === "new_token") {
      if (this.#canRenew) this.#put("cut", error);
      // It was good for a moment: the next one may be, but not without a pause.
      else if (this.#options.canRenew && this.link.isWelcomed) this.#comeBack(nowMs, error);
      else this.#put("gave_up", error);
      this.#renews = true;
    } else if (action === "done") this.#put("ended", null);
    else if (action === "give_up") this.#put("gave_up", error);
    else if (wasCut) this.cut(nowMs, error);
    else {
      if (error.code) this.#ladder.cut(nowMs, false); // who speaks to us is not cutting us short
      this.#comeBack(nowMs, error, floorMs, isDrawn);
    }
  }

  /** Not when the token in use was made for this very attempt. */
  get #canRenew() {
    return this.#options.canRenew && !this.link.renews;
  }

  #stepDown(nowMs) {
    const canStep = this.#ladder.stepDown(nowMs);
    if (canStep) this.link = null;
    return canStep;
  }

  #comeBack(nowMs, error, floorMs, isDrawn) {
    this.#fruitless = this.#isStable(nowMs) || this.link.brought ? 0 : this.#fruitless + 1;
    this.#foreignSinceMs = null;
    if (this.#fruitless >= this.#options.maxAttempts) this.#put("gave_up", error);
    else {
      this.#put("cut", error);
      this.retryAtMs = nowMs + this.#backoff.nextDelay(floorMs, isDrawn);
    }
  }

  /** A connection that has lasted lets the attempts be counted anew. */
  #isStable(nowMs) {
    const isStable = this.#welcomedAtMs !== null && nowMs - this.#welcomedAtMs >= STABLE_MS;
    if (isStable) this.#backoff.reset();
    return isStable;
  }

  /** What was open is no more. */
  #put(what, error) {
    this.#isStable(this.link?.heardAtMs);
    this.#enter(what);
    this.error = error;
    this.link = this.retryAtMs = this.#welcomedAtMs = null;
    this.#waits = false;
  }

  #enter(what) {
    this.state = nextState(this.state, what);
  }
}
