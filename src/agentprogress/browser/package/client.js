// Carries out what a `Follower` decides, for a page: dials, keeps time, listens to the page's life, folds what comes, and
// tells whoever is subscribed.

import { Backoff } from "./backoff.js";
import { Follower } from "./connection-state.js";
import { ProgressError } from "./errors.js";
import { emptyState, Fold, LIMITS } from "./fold.js";
import { answerOf, bearer } from "./http.js";
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
const PAUSE_MS = 1000;
const RESULT_WAIT_SECONDS = 20;
// A page that saw the detail need not forget it as soon as the server does.
const KEEP = { ...LIMITS, max_steps: 2000, max_texts: 20, max_text_chars: 100000, max_logs: 10000, max_log_bytes: 2 ** 23, max_record_bytes: 2 ** 22, detail: true };

const hidden = () => globalThis.document?.visibilityState === "hidden";
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const isSame = (one, other) => Object.keys(one).every((name) => Object.is(one[name], other[name]));

function call(callback, ...values) {
  try {
    callback?.(...values);
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}

export class ProgressClient {
  #url;
  #options;
  #follower;
  #fold = null;
  #begun = null; // a log that begins anew, until something of it is here
  #announced = null; // the status as the server has told it beside the events
  #result;
  #isComplete = false;
  #clockOffsetMs = 0;
  #made = null;
  #isAsking = false; // for a token
  #isClosed = false;
  #isStored = false; // the page is in the back/forward cache
  #listeners = new Set();
  #timer;
  #tickedAtMs = 0;
  #abort = null;
  #life = null;
  #snapshot;

  constructor(src, options = {}) {
    this.#url = new SessionUrl(src);
    this.#options = options;
    const { transport, maxAttempts, token } = options;
    this.#follower = new Follower(this.#url.sessionId, { transport, maxAttempts, canRenew: typeof token === "function" });
    this.#snapshot = this.#makeSnapshot();
  }

  get url() {
    return this.#url.href;
  }

  getSnapshot() {
    return this.#snapshot;
  }

  subscribe(listener) {
    const entry = () => call(listener);
    this.#listeners.add(entry);
    // Later, so that one who leaves and returns at once (as React's strict mode does) costs no connection.
    queueMicrotask(() => this.#step());
    return () => {
      this.#listeners.delete(entry);
      queueMicrotask(() => this.#step());
    };
  }

  retryNow() {
    this.#follower.retryNow();
    this.#step();
  }

  close() {
    this.#isClosed = true;
    this.#listeners.clear();
    this.#step();
  }

  async requestCancel(reason) {
    return (await this.#request("cancel", reason === undefined ? {} : { reason })).json();
  }

  async answer(requestId, value) {
    await this.#request(`inputs/${encodeURIComponent(requestId)}`, { value });
  }

  async result() {
    const backoff = new Backoff();
    for (;;) {
      const askedAtMs = Date.now();
      try {
        const response = await this.#request("result");
        if (response.status === 200) return await response.json();
        backoff.reset();
        // A server that does not wait is not asked without a pause.
        if (Date.now() - askedAtMs < PAUSE_MS) await pause(PAUSE_MS);
      } catch (error) {
        if (error.retryable === false || this.#isClosed) throw error;
        await pause(backoff.nextDelay(error.floorMs));
      }
    }
  }

  // Following

  /** Does what is due now, tells what has changed, and sees to it that it is called in time. */
  #step() {
    const follower = this.#follower;
    const nowMs = Date.now();
    clearTimeout(this.#timer);
    if (!this.#listeners.size) this.#leave();
    else if (!follower.isOver && !this.#isStored) {
      this.#listen();
      this.#keepTime(nowMs);
      const link = follower.next(nowMs);
      if (link) this.#connect(link);
      const nextMs = Math.min(follower.retryAtMs ?? Infinity, follower.deadlineMs, nowMs + TICK_MS);
      this.#tickedAtMs = nowMs;
      this.#timer = setTimeout(() => this.#step(), Math.max(0, nextMs - nowMs));
    }
    this.#tell();
  }

  #leave() {
    this.#life?.abort();
    this.#life = null;
    this.#tickedAtMs = 0;
    this.#follower.leave();
    this.#hangUp();
  }

  /** Looks whether the connection is dead. After a late timer what has come may still wait to be read. */
  #keepTime(nowMs) {
    const lateMs = this.#tickedAtMs && nowMs - this.#tickedAtMs - TICK_MS;
    if (lateMs > SLEPT_MS || lateMs < -TICK_MS - LATE_MS) this.#follower.wake();
    else if (lateMs < LATE_MS && !this.#isAsking) this.#follower.due(nowMs);
  }

  async #connect(link) {
    this.#hangUp();
    const follower = this.#follower;
    const abort = (this.#abort = new AbortController());
    // Whatever comes from a connection that was left is nobody's business.
    const tell = (what, ...values) => {
      if (follower.link === link) return follower[what](...values, Date.now());
    };
    const on = {
      opened: () => tell("opened"),
      heard: () => tell("heard"),
      closed: (code) => tell("closed", code),
      refused: (answer) => tell("refused", answer),
      turned: () => tell("turned"),
      frames: (frames) => this.#take(tell("received", frames) ?? []),
    };
    try {
      const token = await this.#token(link.renewToken);
      if (follower.link !== link) return;
      tell("heard");
      await TRANSPORTS[link.transport]({ ...link, url: this.#url, token, credentials: this.#options.credentials, signal: abort.signal }, on);
      tell("cut", new ProgressError("network", "The connection was lost.", { retryable: true }));
    } catch (error) {
      if (error.isFinal) tell("giveUp", error);
      else if (link.openedAtMs === null) tell("unreachable", this.#explained(error));
      else tell("cut", this.#explained(error));
    } finally {
      abort.abort();
      const notice = follower.takeNotice();
      if (notice) console.warn(`${this.url}: ${notice}`);
      this.#step();
    }
  }

  #hangUp() {
    this.#abort?.abort();
    this.#abort = null;
  }

  /** A page is not told why fetch failed. */
  #explained(error) {
    if (error instanceof ProgressError) return error;
    const { protocol, origin } = globalThis.location ?? {};
    const isForeign = origin && new URL(this.url).origin !== origin;
    let message = "The server cannot be reached.";
    if (isForeign) message = "The server cannot be reached, or does not allow this page's origin.";
    if (protocol === "https:" && this.url.startsWith("http:")) message = "A page of https cannot follow an address of http.";
    return new ProgressError("network", message, { retryable: true });
  }

  async #token(renew) {
    const { token } = this.#options;
    if (typeof token !== "function") return token;
    this.#isAsking = true;
    try {
      if (renew) this.#made = null;
      // Two that need one at once get the same: the second may void the first.
      this.#made ??= Promise.resolve().then(token);
      return await this.#made;
    } catch (error) {
      this.#made = null;
      throw new ProgressError("unauthorized", `The token could not be had: ${error?.message ?? error}`, { retryable: true });
    } finally {
      this.#isAsking = false;
    }
  }

  /** Returns whether a heartbeat was among it. */
  #take(news) {
    let hasHeartbeat = false;
    for (const { welcome, reset, event, snapshot, heartbeat, end } of news) {
      if (reset) this.#begun = emptyState(welcome.session_id, welcome.epoch);
      if (event || snapshot || this.#follower.state === "live") this.#begin();
      if (snapshot) this.#fold.jump(snapshot);
      if (event) {
        this.#fold.apply(event);
        call(this.#options.onEvent, event);
      }
      if (heartbeat) hasHeartbeat = true;
      if (welcome || end) this.#announced = (welcome ?? end).status;
      const serverMs = Date.parse((welcome ?? heartbeat)?.server_time);
      if (serverMs) this.#clockOffsetMs = serverMs - Date.now();
    }
    if (news.length) this.#tell();
    return hasHeartbeat;
  }

  #begin() {
    if (this.#begun) this.#fold = new Fold(this.#begun, KEEP);
    this.#begun = null;
  }

  // The page's life

  #listen() {
    if (this.#life || !globalThis.document) return;
    this.#life = new AbortController();
    const { signal } = this.#life;
    const listen = (target, type, listener) => target.addEventListener(type, listener, { signal });
    const look = () => hidden() || this.#look();
    listen(document, "visibilitychange", look);
    listen(document, "resume", look);
    // What was open belongs to another network.
    listen(window, "online", () => this.#redial());
    listen(window, "offline", () => this.#tell());
    // A page with an open connection would not be kept for going back; it is taken up again from its cursor.
    listen(window, "pagehide", ({ persisted }) => persisted && this.#store());
    listen(window, "pageshow", () => this.#isStored && this.#redial());
  }

  /** Timers may have slept: whoever looks at the page shall not wait for them. */
  #look() {
    const follower = this.#follower;
    this.#tickedAtMs = 0;
    if (!follower.link) follower.wake();
    this.#step();
  }

  #redial() {
    this.#isStored = false;
    this.#follower.wake();
    this.#step();
  }

  #store() {
    this.#isStored = true;
    this.#follower.wake();
    this.#hangUp();
  }

  // Telling

  #makeSnapshot() {
    const { state, error, retryAtMs, transport, producer, cursor } = this.#follower;
    let session = this.#fold?.state ?? null;
    if (this.#result !== undefined) session = { ...session, result: this.#result };
    const before = this.#snapshot;
    const offline = globalThis.navigator?.onLine === false;
    const connection = { state, reason: error && error.message, error, retryAtMs, transport, offline };
    return {
      session,
      status: state === "replaying" || state === "ended" || !session ? this.#announced : session.status,
      connection: before && isSame(connection, before.connection) ? before.connection : connection,
      producer,
      clockOffsetMs: this.#clockOffsetMs,
      cursor,
    };
  }

  #tell() {
    const snapshot = this.#makeSnapshot();
    if (!isSame(snapshot, this.#snapshot)) {
      this.#snapshot = snapshot;
      for (const listener of [...this.#listeners]) listener();
    }
    if (snapshot.connection.state === "ended" && !this.#isComplete && !this.#isClosed) this.#complete(snapshot.session);
  }

  /** A result too large to travel with the events is fetched before anybody is told. */
  async #complete(session) {
    this.#isComplete = true;
    if (session.status === "completed" && session.result === null && session.result_bytes) {
      this.#result = await this.result().catch(() => null);
      this.#tell();
    }
    if (!this.#isClosed) call(this.#options.onComplete, this.#snapshot.session);
  }

  // Asking

  async #request(route, body) {
    const isPost = body !== undefined;
    const url = this.#url.route(route, isPost ? {} : { wait: RESULT_WAIT_SECONDS });
    for (let renew = false; ; renew = true) {
      const headers = { ...bearer(await this.#token(renew)), ...(isPost && { "Content-Type": "application/json" }) };
      const init = { method: isPost ? "POST" : "GET", body: JSON.stringify(body), headers, credentials: this.#options.credentials };
      const response = await fetch(url, init).catch((error) => {
        throw this.#explained(error);
      });
      if (response.status === 200 || response.status === 202) return response;
      const { action, error, floorMs } = judgeAnswer(await answerOf(response));
      if (action === "new_token" && !renew && typeof this.#options.token === "function") continue;
      throw Object.assign(error, { floorMs, retryable: action === "come_back" });
    }
  }
}
