// How long a client waits before it comes back. The server sizes the window so that all of its subscribers together do
// not overrun it; so the delay is drawn from the whole of [0, window]. Random numbers are passed in, time is not needed.

const INITIAL_WINDOW_MS = 1000;
const MIN_WINDOW_MS = 200;
const MIN_DELAY_MS = 100;
const MAX_DELAY_MS = 20000;
const MAX_RETRY_AFTER_MS = 900000;

const within = (least, value, most) => Math.min(Math.max(value, least), most);

export class Backoff {
  attempt = 0;
  #windowMs; // once it is advised
  #random;

  constructor(random = Math.random) {
    this.#random = random;
  }

  /** The first ones to return after a restart are told of a small crowd: a welcome never narrows the window. */
  welcome(windowMs) {
    if (!(windowMs <= this.#windowMs)) this.advise(windowMs);
  }

  advise(windowMs) {
    // What is not a number changes nothing, NaN neither.
    if (typeof windowMs === "number") this.#windowMs = within(MIN_WINDOW_MS, windowMs, MAX_DELAY_MS) || this.#windowMs;
  }

  /** `drawn`: by the server for this client alone, as for `reconnect`. 0 is not: all are told the same. */
  nextDelay(floorMs, drawn) {
    const floor = within(0, floorMs || 0, MAX_RETRY_AFTER_MS);
    const attempt = this.attempt++;
    if (!attempt && drawn && floor) return floor;
    const longest = Math.min((this.#windowMs ?? INITIAL_WINDOW_MS) * 2 ** attempt, MAX_DELAY_MS);
    return Math.max(this.#random() * longest, floor, attempt && MIN_DELAY_MS);
  }

  reset() {
    this.attempt = 0;
  }
}
