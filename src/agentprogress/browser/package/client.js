// Carries out what a `Follower` decides, for a page: dials, keeps time, listens to the page's life, folds what comes, and
// tells whoever is subscribed.

import { Backoff } from "./backoff.js";
import { Follower } from "./connection-state.js";
import { passing, ProgressError } from "./errors.js";
import { emptyState, Fold, LIMITS } from "./fold.js";
import { isEvent } from "./frames.js";
import { ask, JSON_TYPE } from "./http.js";
import { followByPages } from "./transport-long-poll.js";
import { followByEvents } from "./transport-sse.js";
import { followByWebSocket } from "./transport-websocket.js";
import { SessionUrl } from "./url.js";
import { judgeAnswer } from "./verdicts.js";

const TRANSPORTS = { __proto__: null, websocket: followByWebSocket, sse: followByEvents, "long-poll": followByPages };
const TICK_MS = 5000;
const LATE_MS = 1000;
// Timers of hidden pages run once a minute: only one that is later has slept.
const SLEPT_MS = 90000;
const TOKEN_MS = 30000;
// A page that saw the detail need not forget it as soon as the server does.
const KEEP = {
  ...LIMITS, max_steps: 2000, max_texts: 20, max_text_chars: 1e5, max_logs: 1e4, max_log_bytes: 1e7, max_record_bytes: 1e7,
  max_value_bytes: 65536, detail: true,
};

/** The object of before, where nothing in it has changed. */
const kept = (before, now) => (before && Object.keys(now).every((name) => now[name] === before[name]) ? before : now);

export class ProgressClient {
  #url;
  #options;
  #follower;
  #fold;
  #status = null; // as a welcome or the end told it
  #isComplete = false;
  #clockOffsetMs = 0;
  #token; // a promise of the one in use
  #dialledWith; // such a promise
  #awaitingToken; // the link that is
  #listeners = new Set();
  #timer;
  #tickedAtMs = 0;
  #abort; // of the connection
  #life; // ends the listening to the page
  #isStored; // for going back
  #isTold; // that a transport does not work
  #snapshot;

  constructor(src, options = {}) {
    const { transport = "auto" } = options;
    if (transport !== "auto" && !TRANSPORTS[transport]) {
      throw new ProgressError("protocol", `There is no transport ${transport}.`);
    }
    this.#url = new SessionUrl(src);
    this.#options = options;
    // Asked each time, because a page may come to have one.
    const rules = { ...options, get canRenew() { return typeof options.token === "function"; } };
    this.#follower = new Follower(this.#url.sessionId, rules);
    this.#tell();
  }

  get url() {
    return this.#url.href;
  }

  getSnapshot() {
    return this.#snapshot;
  }

  subscribe(listener) {
    this.#listeners?.add(listener);
    // Later, so that one who leaves and returns at once (as React's strict mode does) costs no connection.
    queueMicrotask(() => this.#step());
    return () => {
      this.#listeners?.delete(listener);
      queueMicrotask(() => this.#step());
    };
  }

  retryNow() {
    this.#follower.retryNow();
    this.#step();
  }

  close() {
    this.#listeners = null;
    this.#step();
  }

  async requestCancel(reason) {
    return (await this.#request("cancel", { reason })).said;
  }

  async answer(requestId, value) {
    await this.#request(`inputs/${encodeURIComponent(requestId)}`, { value });
  }

  async result() {
    const backoff = new Backoff();
    while (this.#listeners) {
      let floorMs = LATE_MS; // a server that does not wait is not asked without a pause
      try {
        const { status, said } = await this.#request("result");
        if (status === 200) return said;
        backoff.reset();
      } catch (error) {
        if (error.retryable === false) throw error;
        floorMs = error.floorMs;
      }
      await new Promise((resolve) => setTimeout(resolve, backoff.nextDelay(floorMs)));
    }
    throw new ProgressError("network", "The client is closed.");
  }

  // Following

  /** Does what is due now, tells what has changed, and sees to it that it is called in time. */
  #step() {
    const follower = this.#follower;
    const nowMs = Date.now();
    const isWanted = this.#listeners?.size;
    clearTimeout(this.#timer);
    if (!isWanted) {
      this.#life?.abort();
      this.#life = null;
      follower.leave();
    } else {
      if (!this.#life) this.#live();
      if (follower.link && follower.link === this.#awaitingToken) follower.heard(nowMs);
      const lateMs = this.#tickedAtMs && nowMs - this.#tickedAtMs - TICK_MS;
      if (Math.abs(lateMs) > SLEPT_MS) follower.wake();
      // After a late timer, what has come may still wait to be read.
      else if (lateMs < LATE_MS) follower.due(nowMs);
      this.#tickedAtMs = nowMs;
    }
    if (!follower.link) this.#abort?.abort();
    if (isWanted && !this.#isStored && !follower.isOver) {
      const link = follower.next(nowMs);
      if (link) this.#connect(link);
      const nextMs = Math.min(follower.retryAtMs ?? Infinity, follower.deadlineMs, nowMs + TICK_MS);
      this.#timer = setTimeout(() => this.#step(), nextMs - nowMs);
    }
    this.#tell();
  }

  async #connect(link) {
    const follower = this.#follower;
    const { signal } = (this.#abort = new AbortController());
    // Whatever comes from a connection that was let go is nobody's business.
    const on = (what, value) => {
      if (follower.link !== link) return;
      this.#take(follower[what](Date.now(), value));
      if (follower.link !== link) this.#step();
    };
    let failure;
    try {
      this.#awaitingToken = link;
      const token = await (this.#dialledWith = this.#bearer(link.renews && this.#dialledWith));
      signal.throwIfAborted();
      this.#awaitingToken = null;
      on("heard");
      const { credentials } = this.#options;
      await TRANSPORTS[link.transport]({ ...link, url: this.#url, token, credentials, signal }, on);
    } catch (error) {
      failure = error;
    }
    if (failure?.status) on("refused", failure);
    else on(link.openedAtMs ? "cut" : "unreachable", this.#explained(failure, link.openedAtMs));
  }

  #take(news = []) {
    for (const frame of news) {
      const { type, status, server_time } = frame;
      if (type === "snapshot") this.#fold.jump(frame.state);
      else if (isEvent(frame)) this.#fold.apply(frame);
      else {
        if (type === "welcome" && frame.reset) this.#fold = new Fold(emptyState(frame.session_id, frame.epoch), KEEP);
        if (type !== "heartbeat") this.#status = status;
        this.#clockOffsetMs = Date.parse(server_time) - Date.now() || this.#clockOffsetMs;
        this.#warn();
      }
    }
    for (const frame of news) if (isEvent(frame)) this.#call(this.#options.onEvent, frame);
    if (news.length) this.#tell();
  }

  /** Says once, to who can change it, what a proxy does not let through. */
  #warn() {
    const { transport } = this.#follower;
    if (this.#isTold || transport === "websocket" || transport === this.#options.transport) return;
    this.#isTold = true;
    console.warn(`A session is followed by ${transport}: docs/servers.md has what a proxy needs for WebSockets.`);
  }

  /** A page is not told why fetch failed. */
  #explained(error, wasOpen) {
    if (error instanceof ProgressError) return error;
    const isForeign = !this.url.startsWith(globalThis.location?.origin);
    const reached = `The server cannot be reached${isForeign ? ", or does not let this page in" : ""}.`;
    return passing("network", wasOpen ? "The connection was lost." : reached);
  }

  /** Makes another one unless that has been done since `refused`: of two that are made at once the second may void the first. */
  #bearer(refused) {
    const { token } = this.#options;
    if (typeof token !== "function") return token;
    if (this.#token === refused) this.#token = null;
    let timer;
    const tooLong = (_, reject) => (timer = setTimeout(reject, TOKEN_MS, "it takes too long"));
    const made = (this.#token ??= Promise.race([Promise.resolve().then(() => token()), new Promise(tooLong)]).catch((error) => {
      if (this.#token === made) this.#token = null;
      throw passing("unauthorized", `The token could not be had: ${error}`);
    }).finally(() => clearTimeout(timer)));
    return made;
  }

  /** Listens to the page's life: whoever looks at it shall not wait for timers that slept. */
  #live() {
    const { signal } = (this.#life = new AbortController());
    this.#isStored = false; // or nobody would have heard of it
    const follower = this.#follower;
    const listen = ({ type }) => {
      // Chromium says that the page is hidden after it has said that it is stored.
      if (/page/.test(type)) this.#isStored = type === "pagehide";
      // What was open belongs to another network, or would keep the page from being kept for going back.
      const isLost = type === "online" || type === "pagehide";
      if (isLost || (type === "visibilitychange" && !document.hidden && !follower.link)) follower.wake();
      this.#tickedAtMs = 0;
      this.#step();
    };
    for (const type of ["visibilitychange", "online", "offline", "pagehide", "pageshow"]) {
      globalThis.addEventListener?.(type, listen, { signal });
    }
  }

  // Telling

  #tell() {
    const { state, error, transport, producer, cursor, retryAtMs } = this.#follower;
    const before = this.#snapshot;
    const session = this.#fold?.state ?? null;
    const connection = {
      state, error, transport,
      reason: error?.message ?? null,
      retryAtMs: state === "reconnecting" ? retryAtMs : null, // not the pause between two pages
      offline: globalThis.navigator?.onLine === false,
    };
    this.#snapshot = kept(before, {
      session, producer, cursor,
      status: session && !/replaying|ended/.test(state) ? session.status : this.#status,
      connection: kept(before?.connection, connection),
      clockOffsetMs: this.#clockOffsetMs,
    });
    if (this.#snapshot !== before) this.#listeners?.forEach((listener) => this.#call(listener));
    if (state === "ended" && !this.#isComplete) this.#complete(session);
  }

  /** A result too large to travel with the events is fetched before anybody is told. */
  async #complete(session) {
    this.#isComplete = true;
    await null; // for the last events to be told
    if (session.result_bytes && session.result === null) {
      const result = await this.result().catch(() => null);
      session = { ...session, result };
      this.#fold = { state: session }; // nothing more is to be folded
      this.#tell();
    }
    this.#call(this.#options.onComplete, session);
  }

  /** Calls what the application gave: what it throws is reported, as nobody waits for it, and harms nothing. */
  async #call(callback, value) {
    if (this.#listeners) callback?.(value);
  }

  // Asking

  async #request(route, body) {
    const url = this.#url.route(route, { wait: body ? null : 20 });
    const { credentials } = this.#options;
    for (let refused, isLast; ; isLast = true) {
      const bearer = this.#bearer(refused);
      refused = bearer;
      const token = await bearer;
      try {
        const response = await ask(url, JSON_TYPE, { token, credentials, body });
        return { status: response.status, said: await response.json() };
      } catch (failure) {
        if (!failure.status) throw this.#explained(failure);
        const { action, error, floorMs } = judgeAnswer(failure);
        if (action === "new_token" && !isLast && typeof this.#options.token === "function") continue;
        throw Object.assign(error, { floorMs, retryable: action === "come_back" });
      }
    }
  }
}
