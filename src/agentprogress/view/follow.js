// Following: one cursor over WebSocket or SSE, taken up again after every cut until the server says `end`.
// Knows frames and time, not what events mean and nothing of the page; every duration is in milliseconds.

const SUBPROTOCOL = "agentprogress.v1";
const CONTROL_FRAMES = ["welcome", "snapshot", "gap", "heartbeat", "reconnect", "end"];
const BACKOFF_CAP_MS = 20000;
const BACKOFF_FLOOR_MS = 100;
const STABLE_MS = 5000;
const SILENCE_MS = 10000;
const SHORT_STREAM_MS = 1000;
const UNKNOWN_GRACE_MS = 30000;
const PROBE_TIMEOUT_MS = 10000;
const REFUSALS = new Map(Object.entries({
  4400: "The server did not understand the request.",
  4401: "You are not signed in, or your sign-in has expired.",
  4403: "You may not follow this session.",
  4404: "There is no such session.",
  4410: "This session is over and no longer kept.",
  4421: "This session lives in another server process.",
}));

/** Uniform in [0, min(cap, window · 2ⁿ)]: full jitter, so that a restart does not bring everybody back at once. */
function backoffMs(attempt, windowMs, floorMs, random) {
  const delayMs = random() * Math.min(BACKOFF_CAP_MS, windowMs * 2 ** attempt);
  return Math.max(delayMs, attempt > 0 ? BACKOFF_FLOOR_MS : 0, floorMs);
}

/** Calls on.open(), on.frames([…]) and, once, on.close(code, reason); nothing any more after close(). */
function openWebSocket(url, on) {
  const socket = new WebSocket(url.replace(/^http/i, "ws"), [SUBPROTOCOL]);
  socket.onopen = on.open;
  socket.onmessage = (event) => on.frames(event.data);
  socket.onclose = (event) => on.close(event.code, event.reason);
  const close = () => {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  };
  return { close, pong: () => socket.send('{"type":"pong"}') };
}

function openEventSource(url, on) {
  const source = new EventSource(url);
  const take = (event) => on.frames(event.data);
  source.onopen = on.open;
  source.onmessage = take;
  for (const name of CONTROL_FRAMES) source.addEventListener(name, take);
  // A frame named `error` and a broken connection arrive under the same name; only the frame carries data. The retry
  // of EventSource itself is not used: it gives up for ever after any proxy's 502.
  source.onerror = (event) => (event.data === undefined ? on.close(1006, "") : take(event));
  return { close: () => { source.close(); source.onmessage = source.onerror = source.onopen = null; }, pong: () => {} };
}

/** What a refused HTTP answer says: {code, message, retryable, retry_after}. Only a problem document is believed as final. */
async function problemOf(response) {
  const isProblem = (response.headers.get("content-type") ?? "").includes("problem+json");
  const body = isProblem ? await response.json().catch(() => ({})) : {};
  const mayPass = response.status >= 500 || response.status === 429 || response.status === 408;
  return {
    code: body.code,
    message: body.detail ?? body.title ?? `The server answered ${response.status}.`,
    retryable: isProblem ? body.retryable ?? mayPass : true,
    retry_after: body.retry_after ?? Number(response.headers.get("retry-after") ?? 0),
  };
}

class Follower {
  /** `base` is the session's absolute URL, `query` what its routes get besides the cursor; `on` has frame, reset, change. */
  constructor(base, query, on) {
    Object.assign(this, { base, query, on });
    this.state = "connecting"; // → replaying → live → reconnecting → … → ended | gave_up
    this.sentence = "";
    this.retryAtMs = null;
    this.transport = "websocket";
    this.link = null;
    this.epoch = null;
    this.seq = 0;
    this.head = 0;
    this.attempt = 0;
    this.windowMs = 1000;
    this.heartbeatMs = 15000;
    this.clockOffsetMs = 0; // the server's clock minus ours
    this.shortStreams = 0;
    this.socketWorked = false;
    this.unknownSinceMs = null;
    this.lastByteMs = Date.now();
  }

  start() {
    this.dial();
    setInterval(() => this.checkAlive(), 1000);
  }

  get final() {
    return this.state === "ended" || this.state === "gave_up";
  }

  url(route, cursor) {
    const query = new URLSearchParams(this.query);
    if (cursor) query.set("after", cursor);
    const text = query.toString();
    return this.base + route + (text && `?${text}`);
  }

  dial() {
    this.hangUp();
    this.lastByteMs = Date.now();
    const cursor = this.epoch === null ? null : `${this.epoch}-${this.seq}`;
    const link = { opened: false, welcomed: false };
    this.link = link;
    const on = {
      open: () => { link.opened = true; link.openedAtMs = Date.now(); },
      frames: (text) => this.receive(link, text),
      close: (code, reason) => this.closed(link, code, reason),
    };
    const sse = this.transport === "sse";
    Object.assign(link, (sse ? openEventSource : openWebSocket)(this.url(sse ? "/events" : "/ws", cursor), on));
    this.on.change();
  }

  hangUp() {
    clearTimeout(this.timer);
    this.retryAtMs = null;
    this.link?.close();
    this.link = null;
  }

  retryNow() {
    if (this.state === "gave_up") Object.assign(this, { state: "connecting", sentence: "", attempt: 0, unknownSinceMs: null });
    this.dial();
  }

  /** The page became visible or came back online: timers may have slept, so look now. */
  wake(cachedPage) {
    if (this.final) return;
    if (cachedPage || (this.state === "reconnecting" && !this.link)) this.dial();
    else this.checkAlive();
  }

  checkAlive() {
    if (this.link && Date.now() - this.lastByteMs > this.heartbeatMs + SILENCE_MS) {
      this.comeBack("The server has gone silent.");
    }
  }

  receive(link, text) {
    this.lastByteMs = Date.now();
    let frames;
    try {
      frames = [].concat(JSON.parse(text)).filter((frame) => frame?.type);
    } catch {
      return this.comeBack("The server sent something unreadable.");
    }
    for (const frame of frames) {
      if (this.link !== link) return;
      if (!this.sessionId || (frame.session ?? this.sessionId) === this.sessionId) this.handle(frame, link);
    }
    this.on.change();
  }

  handle(frame, link) {
    const type = String(frame.type);
    if (type.includes(".")) return this.handleEvent(frame);
    switch (type) {
      case "welcome": return this.welcomed(frame, link);
      case "snapshot": return this.handleSnapshot(frame);
      case "gap":
        this.seq = Math.max(this.seq, frame.missed_to || 0);
        return this.on.frame(frame);
      case "heartbeat":
        link.pong();
        this.advise(frame);
        return this.on.frame(frame);
      case "reconnect": return this.comeBack("The server is restarting.", frame.retry_after * 1000);
      case "error": return this.refused(frame);
      case "end":
        this.hangUp();
        this.enter("ended");
        return this.on.frame(frame);
    }
  }

  handleEvent(event) {
    if (event.seq <= this.seq) return;
    if (event.seq !== this.seq + 1) return this.comeBack("Events were missing; asking for them again.");
    this.seq = event.seq;
    this.on.frame(event);
    this.catchUp();
  }

  handleSnapshot(frame) {
    if (frame.seq < this.seq) return;
    this.seq = frame.seq;
    this.on.frame(frame);
    this.catchUp();
  }

  welcomed(frame, link) {
    const isAnotherRun = this.epoch !== null && frame.epoch !== this.epoch;
    if (isAnotherRun || frame.resume === "reset") {
      this.seq = 0;
      this.on.reset();
    }
    link.welcomed = true;
    link.welcomedAtMs = Date.now();
    if (this.transport === "websocket") this.socketWorked = true;
    Object.assign(this, { epoch: frame.epoch, head: frame.head, sessionId: frame.session_id, unknownSinceMs: null });
    this.heartbeatMs = frame.heartbeat_interval * 1000 || this.heartbeatMs;
    this.advise(frame);
    this.enter("replaying");
    this.on.frame(frame);
    this.catchUp();
  }

  advise(frame) {
    this.windowMs = frame.retry_window * 1000 || this.windowMs;
    const serverMs = Date.parse(frame.server_time);
    if (!Number.isNaN(serverMs)) this.clockOffsetMs = serverMs - Date.now();
  }

  catchUp() {
    if (this.state === "replaying" && this.seq >= this.head) this.enter("live");
  }

  enter(state, sentence = "") {
    this.state = state;
    this.sentence = sentence;
    this.on.change();
  }

  async closed(link, code, reason) {
    if (this.link !== link) return;
    link.close();
    if (code >= 4400 && code < 4500) {
      const message = reason || (REFUSALS.get(String(code)) ?? `The server refused (${code}).`);
      return this.refused({ code: code === 4404 ? "session_unknown" : "", message, retryable: false });
    }
    const refusedHttp = this.transport === "sse" && !link.opened;
    this.chooseTransport(link);
    // EventSource hides the status of a refusal, so it is asked for.
    const problem = refusedHttp ? await this.probe() : null;
    if (this.link !== link) return;
    if (problem) this.refused(problem);
    else this.comeBack(link.opened ? "The connection was lost." : "The server cannot be reached.");
  }

  async probe() {
    try {
      const response = await fetch(this.url(""), { cache: "no-store", signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
      return response.ok ? null : await problemOf(response);
    } catch {
      return null;
    }
  }

  /** After a cut nobody announced. Once a WebSocket has worked here, a failed one means trouble, not a proxy without it. */
  chooseTransport(link) {
    if (this.transport === "sse") {
      if (!link.welcomed || this.socketWorked) this.transport = "websocket";
      return;
    }
    const isShort = !link.opened || Date.now() - link.openedAtMs < SHORT_STREAM_MS;
    this.shortStreams = isShort ? this.shortStreams + 1 : 0;
    if (!link.opened || this.shortStreams >= 3) this.transport = "sse";
  }

  refused({ code, message, retryable, retry_after: retryAfter }) {
    if (code === "session_unknown" && this.epoch !== null) {
      this.unknownSinceMs ??= Date.now();
      if (Date.now() - this.unknownSinceMs < UNKNOWN_GRACE_MS) return this.comeBack(message);
      message = "The server no longer knows this session: it was restarted without a durable store.";
    } else if (retryable && code !== "unauthorized") {
      // `unauthorized` is worth a retry only with another token, and this page has no way to get one.
      return this.comeBack(message, retryAfter * 1000);
    }
    this.hangUp();
    this.enter("gave_up", message);
  }

  comeBack(sentence, floorMs = 0) {
    const welcomedAtMs = this.link?.welcomedAtMs;
    this.hangUp();
    if (Date.now() - welcomedAtMs >= STABLE_MS) this.attempt = 0;
    const delayMs = backoffMs(this.attempt, this.windowMs, floorMs || 0, Math.random);
    this.attempt += 1;
    this.retryAtMs = Date.now() + delayMs;
    this.timer = setTimeout(() => this.dial(), delayMs);
    this.enter("reconnecting", sentence);
  }
}
