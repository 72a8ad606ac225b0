// A position on a log: duplicates are dropped here, and a hole that nobody announced is malformed, so that the client comes
// back with its last cursor and misses nothing.

import { malformed } from "./frames.js";

export class Position {
  epoch = null;
  seq = 0;
  /** Of the log at the last welcome: what has reached it has caught up. */
  head = 0;

  get cursor() {
    return this.epoch === null ? null : `${this.epoch}-${this.seq}`;
  }

  get isCaughtUp() {
    return this.seq >= this.head;
  }

  /** Returns whether the log begins anew: all that came before is void. */
  welcome({ epoch, resume, head }) {
    this.head = head;
    if (epoch === this.epoch && (resume === "exact" || resume === "gap")) return false;
    this.epoch = epoch;
    this.seq = 0;
    return true;
  }

  /** Returns whether the event is new. */
  event({ seq }) {
    if (seq <= this.seq) return false;
    if (seq > this.seq + 1) throw malformed(`Event ${seq} came after ${this.seq}, and nobody announced a gap.`);
    this.seq = seq;
    return true;
  }

  /** Returns whether the state is not one of before. */
  snapshot({ seq, state }) {
    if (seq < this.seq) return false;
    if (state.epoch !== this.epoch || state.seq !== seq) throw malformed("A snapshot is of another moment.");
    this.seq = seq;
    return true;
  }

  end({ head }) {
    if (head !== this.seq || !this.isCaughtUp) throw malformed(`The end is at ${head}, and came after ${this.seq}.`);
  }
}
