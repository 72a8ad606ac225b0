// Whatever a server, a network, a page and its user do in whatever order: what holds for every client. Random walks, the same
// in every run; a walk that fails is named by its seed.

import assert from "node:assert/strict";
import test from "node:test";

import { ProgressError } from "../../src/agentprogress/browser/package/errors.js";
import {
  end, EPOCH, error, event, events, gap, heartbeat, Line, NOBODY, OTHER, problem, reconnect, seeded, snapshot, stranger,
  TRANSPORTS, vectors, welcome,
} from "./connection-cases.js";

const STATES = ["idle", "connecting", "replaying", "live", "reconnecting", "ended", "gave_up"];
const CODES = vectors("close_codes").codes;
const LONGEST_MS = 900_000;
const ODD = [null, undefined, 0, -1, 1.5, 1e300, "", "1", "exact", true, [], {}, [[7]], { seq: 1 }, EPOCH];

class Dice {
  constructor(seed) {
    this.random = seeded(seed);
  }

  below(most) {
    return Math.floor(this.random() * most);
  }

  of(values) {
    return values[this.below(values.length)];
  }

  chance(part) {
    return this.random() < part;
  }
}

// What a server may say

function answer(dice) {
  const { name, http, retryable } = dice.of(CODES);
  const more = { retryable, retry_after: dice.of([undefined, 3, 1e9, ...ODD]) };
  const status = dice.of([200, 204, 302, 401, 403, 404, 408, 429, 500, 502, 503]);
  const said = dice.chance(0.5) ? problem(http ?? 500, name, more) : stranger(status);
  return dice.chance(0.1) ? { ...said, problem: dice.of(ODD), retryAfter: dice.of(ODD) } : said;
}

function frame(dice) {
  const seq = dice.below(7);
  const epoch = dice.of([EPOCH, EPOCH, EPOCH, OTHER]);
  const resume = dice.of(["fresh", "exact", "gap", "snapshot", "reset"]);
  const code = dice.of(["internal", "session_unknown", "token_expired", "forbidden", "of_later"]);
  const made = dice.of([
    event(seq || 1), event(seq || 1), event(seq || 1), welcome(seq, resume, epoch), snapshot(seq, epoch),
    gap(1, seq || 1), heartbeat(seq, dice.random() * 30), { type: "weather" }, reconnect(dice.random()),
    error(code, { retryable: dice.chance(0.8) }), end(seq),
  ]);
  if (dice.chance(0.2)) made[dice.of(Object.keys(made))] = dice.of(ODD);
  if (dice.chance(0.05)) made.session = "another";
  if (dice.chance(0.05)) made.protocol = dice.of(ODD);
  return made;
}

/** What the server rightly says to a cursor: the rest of a log that is longer by some events. */
function fitting(dice, cursor) {
  const [epoch, seq] = placeOf(cursor);
  const first = epoch === EPOCH ? seq + 1 : 1;
  const more = dice.below(4);
  return [welcome(first - 1 + more, epoch === EPOCH ? "exact" : epoch ? "reset" : "fresh"), ...events(first, first - 1 + more)];
}

// What a driver may do

const LINKED = {
  opened: (line) => line.follower.opened(line.nowMs),
  heard: (line) => line.follower.heard(line.nowMs),
  fitting: (line, dice) => line.send(...fitting(dice, line.follower.link.cursor)),
  receives: (line, dice) => line.send(...Array.from({ length: 1 + dice.below(4) }, () => frame(dice))),
  misreads: (line, dice) => line.sendText(JSON.stringify(dice.of(ODD)) ?? dice.of(["", "{", '[{"type":'])),
  turned: (line) => line.follower.transport === "long-poll" && line.follower.turned(line.nowMs),
  closes: (line, dice) => line.close(dice.of([1000, 1006, 1012, 4104, 4401, 4403, 4404, 4421, 4500, 1000 + dice.below(4000)])),
  cut: (line) => line.follower.cut(line.nowMs, NOBODY),
  unreachable: (line) => line.follower.unreachable(line.nowMs, NOBODY),
  refused: (line, dice) => line.follower.transport !== "websocket" && line.follower.refused(line.nowMs, answer(dice)),
};
const ALWAYS = {
  next: (line) => line.follower.next(line.nowMs),
  rests: (line) => { line.nowMs = Math.max(line.nowMs, line.follower.retryAtMs); },
  due: (line) => line.follower.due(line.nowMs),
  waits: (line, dice) => { line.nowMs += dice.of([0, 500, 2000, 6000, 40_000, 1_000_000]); },
  wakes: (line) => line.follower.wake(),
  retries: (line) => line.follower.retryNow(),
  leaves: (line, dice) => dice.chance(0.3) && line.follower.leave(),
};

/** Takes the step; returns what was new. A message that cannot be read is told as the driver would. */
function step(line, dice) {
  const { follower } = line;
  if (!follower.link && dice.chance(0.6)) line.nowMs = Math.max(line.nowMs, follower.retryAtMs);
  const linked = follower.link && dice.chance(0.8);
  const name = dice.of(Object.keys(linked ? LINKED : ALWAYS));
  if (!linked && dice.chance(0.5)) return ["next", follower.next(line.nowMs)];
  const link = follower.link;
  try {
    return [name, (linked ? LINKED : ALWAYS)[name](line, dice)];
  } catch (thrown) {
    if (!(thrown instanceof ProgressError)) throw thrown;
    assert.equal(thrown.kind, "protocol");
    assert.equal(follower.link, link);
    follower.cut(line.nowMs, thrown);
    return [name, []];
  }
}

// What always holds

/** The epoch and the seq of a cursor; a server that gives nonsense for an epoch gets it back. */
function placeOf(cursor) {
  const [, epoch, seq] = /^(.*)-(\d+)$/s.exec(cursor) ?? [null, null, 0];
  return [epoch, Number(seq)];
}

/** Where a user stands who is handed the news; it shares no code with the follower. */
function handOver(place, news) {
  for (const { type, seq, epoch, reset } of news) {
    if (type === "welcome" && reset) [place.epoch, place.seq] = [epoch, 0];
    else if (type.includes(".")) {
      assert.equal(seq, place.seq + 1);
      place.seq = seq;
    } else if (type === "snapshot") {
      assert.ok(seq >= place.seq);
      place.seq = seq;
    }
  }
}

function check(line, before, mode) {
  const { follower, nowMs, state } = line;
  const { link, error: why, retryAtMs, cursor } = follower;
  assert.ok(STATES.includes(state), state);
  assert.equal(follower.isOver, ["ended", "gave_up"].includes(state));
  assert.equal(follower.deadlineMs < Infinity, link !== null);
  if (before.isOver) assert.ok(follower.isOver ? state === before.state : state === "reconnecting" && before.state === "gave_up");
  if (link) {
    assert.equal(retryAtMs, null);
    assert.equal(link.transport, follower.transport);
    assert.ok(!follower.isOver && state !== "idle");
    assert.equal(follower.next(nowMs + 1e12), null);
  }
  if (retryAtMs !== before.retryAtMs && retryAtMs !== null) {
    assert.ok(retryAtMs >= nowMs && retryAtMs <= nowMs + LONGEST_MS, `${retryAtMs - nowMs}`);
  }
  if (follower.isOver || state === "idle") assert.equal(link ?? retryAtMs, null);
  if (follower.isOver) assert.equal(follower.next(nowMs + 1e12), null);
  if (["reconnecting", "gave_up"].includes(state)) assert.ok(why instanceof ProgressError, `${why?.stack}`);
  if (["replaying", "live", "ended"].includes(state)) assert.equal(why, null);
  if (mode !== "auto") assert.equal(follower.transport, mode);
  assert.ok(TRANSPORTS.includes(follower.transport));
  const [epoch, seq] = placeOf(cursor);
  if (before.epoch === epoch && !before.isReset) assert.ok(seq >= before.seq, `${cursor} after ${before.seq}`);
}

/** A client that is treated well from now on: it is live, with everything. */
function isTreatedWell(line) {
  const { follower } = line;
  for (let round = 0; round < 8 && line.state !== "live" && line.state !== "ended"; round += 1) {
    if (follower.isOver) follower.retryNow();
    line.nowMs += LONGEST_MS;
    const link = follower.link ?? follower.next(line.nowMs);
    follower.opened(line.nowMs);
    line.send(...fitting(new Dice(round), link.cursor));
  }
  assert.ok(line.state === "live" || line.state === "ended", line.state);
}

function walk(seed, steps) {
  const dice = new Dice(seed);
  const mode = dice.of(["auto", "auto", "auto", ...TRANSPORTS]);
  const maxAttempts = dice.of([undefined, undefined, 3]);
  const line = new Line({ transport: mode, canRenew: dice.chance(0.5), maxAttempts, random: dice.random });
  const place = { epoch: null, seq: 0 };
  const path = [];
  try {
    for (let done = 0; done < steps; done += 1) {
      const { follower, state } = line;
      const [epoch, seq] = placeOf(follower.cursor);
      const before = { state, isOver: follower.isOver, retryAtMs: follower.retryAtMs, epoch, seq };
      const [name, found] = step(line, dice);
      path.push(name);
      const news = Array.isArray(found) ? found : [];
      handOver(place, news);
      check(line, { ...before, isReset: news.some(({ reset }) => reset) }, mode);
      assert.equal(follower.cursor, place.epoch && `${place.epoch}-${place.seq}`);
      if (follower.isOver && dice.chance(0.3)) follower.retryNow();
    }
    isTreatedWell(line);
  } catch (cause) {
    throw new Error(`seed ${seed}, after ${path.slice(-8).join(", ")}: ${cause.message}`, { cause });
  }
  return path.length;
}

test("thousands of random walks break no promise, and each can still become live", () => {
  let steps = 0;
  for (let seed = 1; seed <= 500; seed += 1) steps += walk(seed, 10 + (seed % 50));
  assert.ok(steps > 15_000);
});

const FRAMES = [welcome(1), event(1), snapshot(1), gap(1, 2), heartbeat(), reconnect(1), error("internal"), end(1)];

function takeOdd(frame) {
  const line = new Line("websocket");
  line.open();
  try {
    line.sendText(JSON.stringify([...(frame.type === "welcome" ? [] : [welcome(1)]), frame]));
    check(line, { isOver: false, state: "connecting", retryAtMs: null, epoch: null, seq: 0 }, "websocket");
    isTreatedWell(line);
  } catch (cause) {
    throw new Error(`${JSON.stringify(frame)}: ${cause.message}`, { cause });
  }
}

for (const made of FRAMES) {
  test(`no value of any field of ${made.type} throws, and after it all goes on`, () => {
    for (const name of [...Object.keys(made), "session", "protocol", "retry_after", "gone", "reset"]) {
      for (const value of ODD) takeOdd({ ...made, [name]: value });
    }
  });

  test(`nor does ${made.type} that has nothing but the number of another version`, () => {
    takeOdd({ type: made.type, seq: 1, protocol: 2 });
  });
}
