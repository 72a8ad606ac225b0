// Carries out what a `Follower` decides, for a page: dials, keeps time, listens to the page's life, folds what comes, and
// tells whoever is subscribed.

import { Backoff } from "./backoff.js";
import { Follower } from "./connection-state.js";
import { passing, ProgressError } from "./errors.js";
import { emptyState, Fold, LIMITS } from "./fold.js";
import { isEvent } from "./frames.js";
import { answerOf, ask } from "./http.js";
import { followByPages } from "./transport-long-poll.js";
import { followByEvents } from "./transport-sse.js";
import { followByWebSocket } from "./transport-websocket.js";
import { SessionUrl } from "./url.js";
import { judgeAnswer } from "./verdicts.js";

const TRANSPORTS = { websocket: followByWebSocket, sse: followByEvents, "long-poll": followByPages };
const TICK_MS = 5000;
const LATE_MS = 1000;
// Timers of hidden pages run once a minute: only one that is later has slept.
const SLEPT_MS = 90000;
// A page that saw the detail need not forget it as soon as the server does.
const KEEP = {
  ...LIMITS, max_steps: 2000, max_texts: 20, max_text_chars: 1e5, max_logs: 1e4, max_log_bytes: 1e7, max_record_bytes: 1e7, detail: true,
};

const LOST = "The connection was lost.";

const isSame = (one, other) => Object.keys(one).every((name) => Object.is(one[name], other[name]));

/** Calls what the application gave: what it throws is reported and harms nothing. */
function call(callback, value) {
  try {
    callback?.(value);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}

export class ProgressClient {
  #url;
  #options;
  #follower;
  #fold;
  #status = null; // as a welcome or the end told it
  #result;
  #isComplete = false;
  #clockOffsetMs = 0;
  #token; // as it was made, or a promise of it
  #listeners = new Set();
  #timer;
  #tickedAtMs = 0;
  #abort; // of the connection
  #life; // ends the listening to the page
  #isStored; // for going back
  #isTold = false; // that a transport does not work
  #snapshot;

  constructor(src, options = {}) {
    this.#url = new SessionUrl(src);
    this.#options = options;
    this.#follower = new Follower(this.#url.sessionId, { ...options, canRenew: this.#makesToken });
    this.#snapshot = this.#makeSnapshot();
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
    return (await this.#request("cancel", { reason })).json();
  }

  async answer(requestId, value) {
    await this.#request(`inputs/${encodeURIComponent(requestId)}`, { value });
  }

  async result() {
    for (const backoff = new Backoff(); ; ) {
      let floorMs = LATE_MS; // a server that does not wait is not asked without a pause
      try {
        const response = await this.#request("result");
        if (response.status === 200) return await response.json();
        backoff.reset();
      } catch (error) {
        if (error.retryable === false || !this.#listeners) throw error;
        floorMs = error.floorMs;
      }
      await new Promise((resolve) => setTimeout(resolve, backoff.nextDelay(floorMs)));
    }
  }

  // Following

  /** Does what is due now, tells what has changed, and sees to it that it is called in time. */
  #step() {
    const follower = this.#follower;
    const nowMs = Date.now();
    clearTimeout(this.#timer);
    if (this.#isStored) return;
    if (!this.#listeners?.size) {
      this.#life?.abort();
      this.#life = null;
      follower.leave();
      this.#abort?.abort();
    } else if (!follower.isOver) {
      if (!this.#life) this.#live();
      const lateMs = this.#tickedAtMs && nowMs - this.#tickedAtMs - TICK_MS;
      if (lateMs > SLEPT_MS || lateMs < -TICK_MS - LATE_MS) follower.wake();
      // After a late timer, what has come may still wait to be read.
      else if (lateMs < LATE_MS) follower.due(nowMs);
      const link = follower.next(nowMs);
      if (link) this.#connect(link);
      this.#tickedAtMs = nowMs;
      const nextMs = Math.min(follower.retryAtMs ?? Infinity, follower.deadlineMs, nowMs + TICK_MS);
      this.#timer = setTimeout(() => this.#step(), nextMs - nowMs);
    }
    this.#tell();
  }

  async #connect(link) {
    const follower = this.#follower;
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    // Whatever comes from a connection that was left is nobody's business.
    const on = (what, value) => follower.link === link && this.#take(follower[what](Date.now(), value));
    try {
      const token = await this.#bearer(link.renews);
      on("heard");
      const { credentials } = this.#options;
      if (follower.link === link) await TRANSPORTS[link.transport]({ ...link, url: this.#url, token, credentials, signal }, on);
      on("cut", passing("network", LOST));
    } catch (error) {
      if (link.openedAtMs) on("cut", error instanceof ProgressError ? error : passing("network", LOST));
      else on("unreachable", this.#explained(error));
    }
    this.#step();
  }

  /** Returns whether a heartbeat was among the news. */
  #take(news = []) {
    for (const frame of news) {
      if (isEvent(frame)) {
        this.#fold.apply(frame);
        call(this.#options.onEvent, frame);
      } else if (frame.state) this.#fold.jump(frame.state);
      else {
        if (frame.reset) this.#fold = new Fold(emptyState(frame.session_id, frame.epoch), KEEP);
        this.#status = frame.status ?? this.#status;
        this.#warn();
        this.#clockOffsetMs = Date.parse(frame.server_time) - Date.now() || this.#clockOffsetMs;
      }
    }
    if (news.length) this.#tell();
    return news.some(({ type }) => type === "heartbeat");
  }

  /** Says once, to who can change it, what a proxy does not let through. */
  #warn() {
    const { transport } = this.#follower;
    if (this.#isTold || transport === "websocket" || transport === this.#options.transport) return;
    this.#isTold = true;
    console.warn(`${this.url} is followed by ${transport}: docs/servers.md has what a proxy needs for WebSockets.`);
  }

  /** A page is not told why fetch failed. */
  #explained(error) {
    if (error instanceof ProgressError) return error;
    const isForeign = new URL(this.url).origin !== globalThis.location?.origin;
    return passing("network", `The server cannot be reached${isForeign ? ", or does not let this page in" : ""}.`);
  }

  get #makesToken() {
    return typeof this.#options.token === "function";
  }

  async #bearer(renew) {
    if (!this.#makesToken) return this.#options.token;
    try {
      if (renew) this.#token = null;
      // Two that need one at once get the same: the second may void the first.
      return await (this.#token ??= Promise.resolve(this.#options).then(({ token }) => token()));
    } catch (error) {
      this.#token = null;
      throw passing("unauthorized", `The token could not be had: ${error}`);
    }
  }

  /** Listens to the page's life: whoever looks at it shall not wait for timers that slept. */
  #live() {
    const { signal } = (this.#life = new AbortController());
    const follower = this.#follower;
    const listen = ({ type, persisted }) => {
      // What was open belongs to another network, or would keep the page from being kept for going back.
      if (type === "online" || persisted) {
        follower.wake();
        this.#abort?.abort();
      }
      // Chromium says that the page is hidden after it has said that it is stored.
      if (/page/.test(type)) this.#isStored = persisted && type === "pagehide";
      if (type === "visibilitychange" && !document.hidden && !follower.link) follower.wake();
      this.#tickedAtMs = 0;
      this.#step();
    };
    for (const type of ["visibilitychange", "online", "offline", "pagehide", "pageshow"]) globalThis.addEventListener?.(type, listen, { signal });
  }

  // Telling

  #makeSnapshot() {
    const { state, error, transport, producer, cursor } = this.#follower;
    const retryAtMs = state === "reconnecting" ? this.#follower.retryAtMs : null; // not the pause between two pages
    let session = this.#fold?.state ?? null;
    const status = session && !/replaying|ended/.test(state) ? session.status : this.#status;
    if (this.#result) session = this.#result;
    const offline = globalThis.navigator?.onLine === false;
    let connection = { state, reason: error && error.message, error, retryAtMs, transport, offline };
    const before = this.#snapshot?.connection;
    if (before && isSame(connection, before)) connection = before;
    return { session, status, connection, producer, clockOffsetMs: this.#clockOffsetMs, cursor };
  }

  #tell() {
    const snapshot = this.#makeSnapshot();
    if (!isSame(snapshot, this.#snapshot)) {
      this.#snapshot = snapshot;
      for (const listener of this.#listeners ?? []) call(listener);
    }
    if (snapshot.connection.state === "ended" && !this.#isComplete && this.#listeners) this.#complete(snapshot.session);
  }

  /** A result too large to travel with the events is fetched before anybody is told. */
  async #complete(session) {
    this.#isComplete = true;
    if (session.result_bytes && session.result === null) {
      const result = await this.result().catch(() => null);
      this.#result = session = { ...session, result };
      this.#tell();
    }
    if (this.#listeners) call(this.#options.onComplete, session);
  }

  // Asking

  async #request(route, body) {
    const url = this.#url.route(route, body ? {} : { wait: 20 });
    for (let renew = false; ; renew = true) {
      const token = await this.#bearer(renew);
      const response = await ask(url, { token, credentials: this.#options.credentials, body }).catch((error) => {
        throw this.#explained(error);
      });
      if (/20[02]/.test(response.status)) return response;
      const { action, error, floorMs } = judgeAnswer(await answerOf(response));
      if (action !== "new_token" || renew || !this.#makesToken) throw Object.assign(error, { floorMs, retryable: action === "come_back" });
    }
  }
}
