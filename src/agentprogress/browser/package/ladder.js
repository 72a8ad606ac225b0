// Which transport to take: WebSocket, then server-sent events, then long polls. A page is not told why a handshake
// failed: so what never worked is left at once, and taken again when nobody answered the next one either, or after
// some minutes.

const RUNGS = ["websocket", "sse", "long-poll"];
const MAX_SHORT = 3;
const RETRY_MS = 900000;

export class Ladder {
  #rungs;
  #at = 0;
  #worked = [];
  #short = 0;
  #leftAtMs;

  constructor(mode) {
    this.#rungs = mode === "auto" ? RUNGS : [mode];
  }

  get transport() {
    return this.#rungs[this.#at];
  }

  get hasWorked() {
    return this.#worked[this.#at];
  }

  worked() {
    this.#worked[this.#at] = true;
  }

  /** A connection is over; several short ones in a row are the transport's fault. */
  cut(nowMs, isShort) {
    this.#short = isShort && this.#short + 1;
    if (this.#short >= MAX_SHORT) this.stepDown(nowMs);
  }

  /** Takes the next transport; returns whether there is one. */
  stepDown(nowMs) {
    const isLast = this.#at + 1 === this.#rungs.length;
    if (!isLast) {
      this.#at += 1;
      this.#short = 0;
      this.#leftAtMs = nowMs;
    }
    return !isLast;
  }

  /** Nobody answered, which says nothing against the better transports. */
  reset() {
    if (!this.hasWorked) this.#top();
  }

  climb(nowMs) {
    if (nowMs - this.#leftAtMs >= RETRY_MS) this.#top();
  }

  #top() {
    if (this.#at) this.#short = 0;
    this.#at = 0;
    this.#leftAtMs = undefined;
  }
}
