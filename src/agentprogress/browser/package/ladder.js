// Which transport to take: WebSocket, then server-sent events, then long polls. A page is not told why a handshake
// failed; so what never worked is left at once, and taken up again when nobody answered the next one either.

const RUNGS = ["websocket", "sse", "long-poll"];
const MAX_SHORT = 3;
const RETRY_MS = 900000;

export class Ladder {
  /** A sentence about the last step down, for the console; null when it has been told. */
  notice = null;
  #rungs;
  #at = 0;
  #worked = new Set();
  #ruledOut = new Set();
  #short = 0;
  #doubtedAtMs = 0;
  #patienceMs = RETRY_MS;
  #told = new Set();

  constructor(mode) {
    this.#rungs = mode === "auto" ? RUNGS : RUNGS.filter((rung) => rung === mode);
    if (!this.#rungs.length) throw new TypeError(`There is no transport ${mode}; there are auto, ${RUNGS.join(", ")}.`);
  }

  get transport() {
    return this.#rungs[this.#at];
  }

  get hasWorked() {
    return this.#worked.has(this.transport);
  }

  worked() {
    this.#worked.add(this.transport);
    this.#ruledOut.delete(this.transport);
  }

  lasted() {
    this.#short = 0;
  }

  /** A connection was short; several in a row are the transport's fault. */
  cutShort(why, nowMs) {
    this.#short += 1;
    return this.#short >= MAX_SHORT && this.stepDown(why, nowMs, false);
  }

  /** Takes the next transport; `isSure` when the way is known not to take this one, so that it is not tried again. */
  stepDown(why, nowMs, isSure) {
    const below = this.#next(this.#at + 1);
    if (below < 0) return false;
    const left = this.transport;
    if (isSure) this.#ruledOut.add(left);
    else this.#doubtedAtMs = nowMs;
    this.#at = below;
    this.#short = 0;
    if (!this.#told.has(left)) this.notice = `Following by ${this.transport}, not ${left}: ${why}. See docs/servers.md for what a proxy needs.`;
    this.#told.add(left);
    return true;
  }

  /** Nobody answered at all: that says nothing against the better transports. */
  climbBack() {
    if (!this.hasWorked) this.#at = Math.max(0, this.#next(0));
  }

  /** Takes the best transport again if it was doubted long enough ago; in vain, it comes after twice the time. */
  climb(nowMs) {
    const best = this.#next(0);
    if (best < 0 || best >= this.#at || nowMs - this.#doubtedAtMs < this.#patienceMs) return false;
    this.#at = best;
    this.#doubtedAtMs = nowMs;
    this.#patienceMs *= 2;
    return true;
  }

  #next(start) {
    return this.#rungs.findIndex((rung, at) => at >= start && !this.#ruledOut.has(rung));
  }
}
