// One client's following, without I/O: told what happened, it says what to do next. All decisions are here: when to dial,
// by which transport and with which cursor, when a silent connection is dead, what a refusal means, when to give up.
// Time (milliseconds) and random numbers are passed in.

import { Backoff } from "./backoff.js";
import { ProgressError } from "./errors.js";
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
const AFTER_CUT = { cut: "reconnecting", ended: "ended", gave_up: "gave_up", left: "idle" };
const NEXT = {
  idle: { dialled: "connecting", gave_up: "gave_up", left: "idle" },
  connecting: { dialled: "connecting", welcomed: "replaying", ...AFTER_CUT },
  replaying: { dialled: "replaying", welcomed: "replaying", caught_up: "live", ...AFTER_CUT },
  live: { dialled: "live", welcomed: "live", ...AFTER_CUT },
  reconnecting: { dialled: "reconnecting", welcomed: "replaying", ...AFTER_CUT },
  ended: { left: "ended" },
  gave_up: { left: "gave_up", revived: "connecting" },
};

export function nextState(state, what) {
  const next = NEXT[state][what];
  if (!next) throw new Error(`${what} while ${state}`);
  return next;
}

export class Follower {
  state = "idle";
  error = null;
  retryAtMs = null;
  producer = null;
  wasWelcomed = false;
  /** The attempt that is read: {transport, cursor, waits, renewToken} as `next` returned it; null between two. */
  link = null;
  #position = new Position();
  #backoff;
  #ladder;
  #maxAttempts;
  #canRenew;
  #sessionId;
  #fruitless = 0;
  #heartbeatMs = 15000;
  #unknownSinceMs = null;
  #foreignSinceMs = null;
  #welcomedAtMs = null;
  #brought = false;
  #renew = false;
  #waits = false;

  constructor(sessionId, { transport = "auto", maxAttempts = Infinity, canRenew = false, random } = {}) {
    this.#sessionId = sessionId;
    this.#maxAttempts = maxAttempts;
    this.#canRenew = canRenew;
    this.#ladder = new Ladder(transport);
    this.#backoff = new Backoff(random);
  }

  get cursor() {
    return this.#position.cursor;
  }

  get transport() {
    return this.#ladder.transport;
  }

  get isOver() {
    return this.state === "ended" || this.state === "gave_up";
  }

  takeNotice() {
    const { notice } = this.#ladder;
    this.#ladder.notice = null;
    return notice;
  }

  // What to do

  /** Begins an attempt and returns it as `link`, or null while it rests (until `retryAtMs`) or when all is over. */
  next(nowMs) {
    if (this.isOver || this.link || nowMs < this.retryAtMs) return null;
    this.retryAtMs = null;
    this.#brought = false;
    if (this.#ladder.climb(nowMs)) {
      this.#waits = false;
      if (this.state === "replaying" || this.state === "live") this.#enter("cut");
    }
    this.#enter("dialled");
    this.link = {
      transport: this.transport, cursor: this.cursor, waits: this.#waits, renewToken: this.#renew,
      dialledAtMs: nowMs, openedAtMs: null, heardAtMs: nowMs, isWelcomed: false,
    };
    this.#renew = false;
    return this.link;
  }

  /** When the connection is dead, if nothing is heard until then. */
  get deadlineMs() {
    const { link } = this;
    if (!link) return Infinity;
    if (link.openedAtMs === null) return link.heardAtMs + CONNECT_MS + (link.waits ? WAIT_MS : 0);
    // Bytes that are no welcome (a proxy's comments) keep nobody waiting; a page is read whole.
    const sinceMs = link.isWelcomed || link.transport === "long-poll" ? link.heardAtMs : link.openedAtMs;
    return sinceMs + this.#heartbeatMs + SILENCE_MS;
  }

  // What happens to the connection

  opened(nowMs) {
    if (this.link) this.link.openedAtMs = this.link.heardAtMs = nowMs;
  }

  heard(nowMs) {
    if (this.link) this.link.heardAtMs = nowMs;
  }

  /** Frames have come. Returns what is new, in order: {reset, welcome} · {event} · {snapshot} · {heartbeat} · {end}. */
  received(frames, nowMs) {
    const { link } = this;
    const news = [];
    try {
      for (const frame of frames) {
        if (this.link !== link) break;
        this.heard(nowMs);
        if ((frame.session ?? this.#sessionId) === this.#sessionId) this.#take(link, frame, news, nowMs);
      }
    } catch (error) {
      if (!(error instanceof ProgressError)) throw error;
      this.cut(error, nowMs);
    }
    if (news.some(({ event, snapshot, heartbeat, end }) => event || snapshot || heartbeat || end)) this.#brought = true;
    if (this.#brought) this.#fruitless = 0;
    return news;
  }

  /** A page was read to its end, and the next one may be asked for. */
  turned(nowMs) {
    const { link } = this;
    if (!link) return;
    this.link = null;
    this.#waits = true;
    const wasToBring = link.waits || link.cursor !== null;
    // A server that does not wait would be asked without a pause.
    if (wasToBring && !this.#brought && nowMs - link.dialledAtMs < SHORT_MS) this.retryAtMs = nowMs + PAUSE_MS;
  }

  /** The WebSocket is closed. A page is not told why a handshake failed: the next transport is, by its answer. */
  closed(code, nowMs) {
    const { link } = this;
    if (!link) return;
    if (link.openedAtMs === null) {
      if (!this.#ladder.hasWorked && this.#stepDown("its handshake failed", nowMs, false)) return;
      this.cut(new ProgressError("network", "The server cannot be reached.", { retryable: true }), nowMs, "its handshake failed");
      return;
    }
    this.#judge(judgeClose(code), nowMs, true);
  }

  /** The connection broke. */
  cut(error, nowMs, why = "its connections were cut at once") {
    const { link } = this;
    if (!link) return;
    this.#foreignSinceMs = null;
    const isShort = !link.isWelcomed || nowMs - link.openedAtMs < SHORT_MS;
    if (isShort) this.#ladder.cutShort(why, nowMs);
    else this.#ladder.lasted();
    this.#comeBack(error, nowMs);
  }

  /** Nobody answered. */
  unreachable(error, nowMs) {
    this.#ladder.climbBack();
    this.#foreignSinceMs = null;
    this.#comeBack(error, nowMs);
  }

  /** An HTTP answer came that is not what was asked for. */
  refused(answer, nowMs) {
    const { link } = this;
    let verdict = judgeAnswer(answer);
    // Only an event stream that was asked to go on can tell by 204 that there is no more.
    if (verdict.action === "done" && !(link.transport === "sse" && link.cursor)) verdict = { ...verdict, action: "come_back" };
    if (isPassing(answer.status)) this.#ladder.climbBack();
    if (verdict.error.code !== null || isPassing(answer.status)) this.#foreignSinceMs = null;
    else if (verdict.error.kind === "unauthorized" && this.#mayRenew) verdict.action = "new_token"; // an application's own check
    else {
      // Before any welcome, nothing but strangers' errors is most often a wrong address or a sign-in page.
      this.#foreignSinceMs ??= nowMs;
      if (!this.wasWelcomed && nowMs - this.#foreignSinceMs >= GRACE_MS) verdict.action = "give_up";
    }
    this.#judge(verdict, nowMs);
  }

  /** Drops a connection that is dead by now; returns whether it did. */
  due(nowMs) {
    const { link } = this;
    if (nowMs < this.deadlineMs) return false;
    const isOpen = link.openedAtMs !== null;
    // A proxy that collects a stream may hold back even its head (nginx does), one that swallows a WebSocket its handshake.
    const isDoubtful = !link.isWelcomed && !this.#ladder.hasWorked && link.transport !== "long-poll";
    if (isDoubtful && this.#stepDown("nothing came through it", nowMs, isOpen)) return true;
    const seconds = Math.round((nowMs - link.heardAtMs) / 1000);
    const error = new ProgressError("timeout", `Nothing was heard for ${seconds} s.`, { retryable: true });
    if (isOpen) this.cut(error, nowMs);
    else this.unreachable(error, nowMs);
    return true;
  }

  // What the page and its user do

  /** Whatever was open is taken for dead, and what rests is tried at once. */
  wake() {
    if (this.link) this.#setDown(new ProgressError("timeout", "The connection is made anew.", { retryable: true }));
    this.retryAtMs = null;
  }

  retryNow() {
    if (this.state === "gave_up") {
      this.#enter("revived");
      this.#foreignSinceMs = this.#unknownSinceMs = null;
      this.#fruitless = 0;
      this.#renew = this.#canRenew;
    }
    this.retryAtMs = null;
  }

  /** Nobody is interested any more; `next` begins again, from the cursor. */
  leave() {
    this.link = this.retryAtMs = null;
    this.#waits = false;
    this.#welcomedAtMs = null;
    this.#enter("left");
  }

  giveUp(error) {
    this.#enter("gave_up");
    this.error = error;
    this.link = this.retryAtMs = null;
  }

  // Frames

  #take(link, frame, news, nowMs) {
    const { type } = frame;
    if (type === "welcome") this.#welcome(link, frame, news, nowMs);
    else if (type === "error" || type === "reconnect") this.#judge(judgeFrame(frame), nowMs);
    else if (isEvent(frame)) this.#needsWelcome(link) && this.#position.event(frame) && news.push({ event: frame });
    else if (type === "snapshot") this.#needsWelcome(link) && this.#position.snapshot(frame) && news.push({ snapshot: frame.state });
    else if (type === "heartbeat") {
      this.#backoff.advise(frame.retry_window * 1000);
      this.producer = frame.producer;
      news.push({ heartbeat: frame });
    } else if (type === "end") {
      this.#needsWelcome(link) && this.#position.end(frame);
      this.#end();
      news.push({ end: frame });
    }
    if (this.state === "replaying" && this.#position.isCaughtUp) this.#enter("caught_up");
  }

  #needsWelcome(link) {
    if (!link.isWelcomed) throw malformed("The first frame is no welcome.");
    return true;
  }

  #welcome(link, frame, news, nowMs) {
    if (frame.protocol !== PROTOCOL) {
      const sentence = `The server speaks version ${frame.protocol} of the protocol, this page version ${PROTOCOL}: load it anew.`;
      this.giveUp(new ProgressError("protocol", sentence));
      return;
    }
    news.push({ welcome: frame, reset: this.#position.welcome(frame) });
    this.#backoff.welcome(frame.retry_window * 1000);
    this.#ladder.worked();
    this.#unknownSinceMs = this.#foreignSinceMs = this.error = this.producer = null;
    this.#welcomedAtMs ??= nowMs;
    this.wasWelcomed = link.isWelcomed = true;
    if (frame.heartbeat_interval > 0) this.#heartbeatMs = Math.min(frame.heartbeat_interval, 300) * 1000;
    this.#enter("welcomed");
  }

  // Verdicts

  #judge({ action, error, floorMs, isDrawn }, nowMs, wasCut) {
    if (action === "unknown_grace") {
      // After a restart the new process may not know the session yet.
      this.#unknownSinceMs ??= nowMs;
      action = this.wasWelcomed && nowMs - this.#unknownSinceMs < GRACE_MS ? "come_back" : "give_up";
      if (action === "give_up" && this.wasWelcomed) {
        error = new ProgressError(error.kind, "The server was restarted without a durable store: it knows nothing of this session any more.", error);
      }
    }
    if (action === "done") this.#end();
    else if (action === "give_up") this.giveUp(error);
    else if (action === "new_token") this.#askForToken(error, nowMs);
    else if (wasCut) this.cut(error, nowMs);
    else {
      if (error.code !== null) this.#ladder.lasted(); // who speaks to us is not cutting us short
      this.#comeBack(error, nowMs, floorMs, isDrawn);
    }
  }

  /** Not when the token in use was made for this very attempt. */
  get #mayRenew() {
    return this.#canRenew && !this.link?.renewToken;
  }

  #askForToken(error, nowMs) {
    if (this.#mayRenew) this.#setDown(error);
    // It was good for a moment: the next one may be, but not without a pause.
    else if (this.#canRenew && this.#welcomedAtMs !== null) this.#comeBack(error, nowMs);
    else this.giveUp(error);
    this.#renew = true;
  }

  #stepDown(why, nowMs, isSure) {
    if (!this.#ladder.stepDown(why, nowMs, isSure)) return false;
    this.link = null;
    this.#waits = false;
    return true;
  }

  #comeBack(error, nowMs, floorMs, isDrawn) {
    const isStable = this.#welcomedAtMs !== null && nowMs - this.#welcomedAtMs >= STABLE_MS;
    if (isStable) this.#backoff.reset();
    this.#fruitless = this.#brought || isStable ? 0 : this.#fruitless + 1;
    if (this.#fruitless >= this.#maxAttempts) {
      this.giveUp(error);
      return;
    }
    this.#setDown(error);
    this.retryAtMs = nowMs + this.#backoff.nextDelay(floorMs, isDrawn);
  }

  /** What was open is no more. */
  #setDown(error) {
    this.error = error;
    this.link = null;
    this.#waits = false;
    this.#welcomedAtMs = null;
    this.#enter("cut");
  }

  #end() {
    this.#enter("ended");
    this.link = this.error = null;
  }

  #enter(what) {
    this.state = nextState(this.state, what);
  }
}
