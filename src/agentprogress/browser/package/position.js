// A position on a log: duplicates are dropped here, and a hole that nobody announced is malformed, so that the client comes
// back with its last cursor and misses nothing. Each method returns whether what came is new.

import { malformed } from "./frames.js";

export class Position {
  epoch = null;
  seq = 0;
  /** Of the log at the last welcome: what has reached it has caught up. */
  head = 0;

  get cursor() {
    return this.epoch && `${this.epoch}-${this.seq}`;
  }

  /** New is a log that begins anew: all that came before is void. */
  welcome({ epoch, resume, head }) {
    this.head = head;
    if (epoch === this.epoch && /exact|gap/.test(resume)) return false;
    this.epoch = epoch;
    this.seq = 0;
    return true;
  }

  event({ seq }) {
    return seq > this.seq + 1 ? malformed() : this.#move(seq, 0);
  }

  snapshot({ seq, state }) {
    return state.epoch !== this.epoch || state.seq !== seq ? malformed() : this.#move(seq, -1);
  }

  end({ head }) {
    return head !== this.seq || head < this.head ? malformed() : true;
  }

  #move(seq, least) {
    const isNew = seq - this.seq > least;
    if (isNew) this.seq = seq;
    return isNew;
  }
}
