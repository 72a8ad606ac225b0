// The table of states, and what a user's wishes mean in each of them.

import assert from "node:assert/strict";
import test from "node:test";

import { nextState } from "../../src/agentprogress/browser/package/connection-state.js";
import {
  end, EPOCH, error, event, heartbeat, Line, problem, START_MS, stranger, TRANSPORTS, welcome,
} from "./connection-cases.js";

const STATES = ["idle", "connecting", "replaying", "live", "reconnecting", "ended", "gave_up"];
// What happens, and where it leads from each state in their order; "-" is illegal.
const TABLE = {
  dialled: "connecting connecting replaying live reconnecting - -",
  welcomed: "- replaying replaying live replaying - -",
  caught_up: "- - live - - - -",
  cut: "- reconnecting reconnecting reconnecting reconnecting - -",
  ended: "- ended ended ended ended - -",
  gave_up: "- gave_up gave_up gave_up gave_up - -",
  left: "idle idle idle idle idle ended gave_up",
  revived: "- - - - - - reconnecting",
};

for (const [what, row] of Object.entries(TABLE)) {
  for (const [index, after] of row.split(" ").entries()) {
    const state = STATES[index];
    if (after === "-") test(`${what} is illegal while ${state}`, () => assert.throws(() => nextState(state, what), Error));
    else test(`${what} leads from ${state} to ${after}`, () => assert.equal(nextState(state, what), after));
  }
}

test("what is no state and what cannot happen is illegal", () => {
  assert.throws(() => nextState("asleep", "dialled"));
  assert.throws(() => nextState("idle", "asleep"));
});

/** A follower of which each is the state, as it comes to it. */
const REACHED = {
  idle: () => new Line(),
  connecting: (line = new Line()) => (line.dial(), line),
  replaying: (line = new Line()) => (line.open(welcome(9), event(1)), line),
  live: (line = new Line()) => (line.open(welcome(1), event(1)), line),
  reconnecting: (line = new Line()) => (line.follow(), line.close(), line),
  ended: (line = new Line()) => (line.open(welcome(1), event(1), end(1)), line),
  gave_up: (line = new Line()) => (line.open(welcome(1), event(1), error("forbidden")), line),
};

for (const [state, reach] of Object.entries(REACHED)) {
  const isOver = ["ended", "gave_up"].includes(state);
  const hasLink = ["connecting", "replaying", "live"].includes(state);

  test(`while ${state} there is ${hasLink ? "one connection with a deadline" : "no connection and no deadline"}`, () => {
    const { follower } = reach();
    assert.equal(follower.state, state);
    assert.equal(follower.isOver, isOver);
    assert.equal(follower.link !== null, hasLink);
    assert.equal(follower.deadlineMs < Infinity, hasLink);
    assert.equal(follower.retryAtMs !== null, state === "reconnecting");
  });

  test(`while ${state} ${hasLink ? "no second connection is" : isOver ? "nothing is ever" : "the next one is"} dialled`, () => {
    const { follower } = reach();
    const link = follower.next(START_MS + 1e9);
    assert.equal(link !== null, !isOver && !hasLink);
    assert.equal(follower.next(START_MS + 2e9), null);
  });

  test(`whoever leaves while ${state} is ${isOver ? state : "idle"}, without a connection, and keeps the cursor`, () => {
    const { follower, nowMs } = reach();
    const { cursor } = follower;
    follower.leave();
    follower.leave();
    assert.equal(follower.state, isOver ? state : "idle");
    assert.deepEqual([follower.link, follower.retryAtMs, follower.cursor, follower.deadlineMs], [null, null, cursor, Infinity]);
    if (isOver) assert.equal(follower.next(nowMs), null);
    else assert.equal(follower.next(nowMs).cursor, cursor);
  });

  test(`whoever wakes while ${state} ${isOver ? "changes nothing" : "dials at once"}`, () => {
    const { follower, nowMs } = reach();
    const { cursor } = follower;
    follower.wake();
    assert.equal(follower.state, hasLink ? "reconnecting" : state);
    assert.equal(follower.link, null);
    const link = follower.next(nowMs);
    assert.equal(link?.cursor, isOver ? undefined : cursor);
  });

  test(`to retry while ${state} ${state === "ended" || hasLink ? "changes nothing" : "dials at once"}`, () => {
    const { follower, nowMs } = reach();
    const { link } = follower;
    follower.retryNow();
    follower.retryNow();
    assert.equal(follower.state, state === "gave_up" ? "reconnecting" : state);
    assert.equal(follower.link, link);
    assert.equal(follower.next(nowMs) !== null, !hasLink && state !== "ended");
  });
}

test("it dials at once, without a cursor, by the best transport", () => {
  const line = new Line();
  const { transport, cursor, waits, renews } = line.dial();
  assert.deepEqual({ transport, cursor, waits, renews }, { transport: "websocket", cursor: null, waits: false, renews: false });
  assert.deepEqual([line.state, line.nowMs], ["connecting", START_MS]);
});

for (const transport of TRANSPORTS) {
  test(`whoever names ${transport} gets it`, () => {
    assert.equal(new Line(transport).dial().transport, transport);
  });
}

test("whoever comes back after leaving goes on from the cursor and is live again", () => {
  const line = new Line();
  line.follow(3);
  line.follower.leave();
  assert.equal(line.dial().cursor, `${EPOCH}-3`);
  assert.equal(line.state, "connecting");
  line.follower.opened(line.nowMs);
  assert.deepEqual(line.send(welcome(4, "exact"), event(4)).map(({ seq }) => seq), [undefined, 4]);
  assert.equal(line.state, "live");
});

test("whoever leaves while it rests need not rest on when it returns", () => {
  const line = new Line("sse");
  line.refuse(problem(429, "rate_limited", { retryable: true, retry_after: 60 }));
  line.follower.leave();
  assert.equal(line.follower.next(line.nowMs) !== null, true);
});

test("after giving up, to try again begins the counts anew, with another token, from the cursor", () => {
  const line = new Line({ transport: "sse", canRenew: true, maxAttempts: 2 });
  line.follow(2);
  line.close();
  line.fail();
  line.fail();
  assert.equal(line.state, "gave_up");
  line.follower.retryNow();
  const { renews, cursor } = line.dial();
  assert.deepEqual({ renews, cursor }, { renews: true, cursor: `${EPOCH}-2` });
  line.follower.unreachable(line.nowMs, line.error);
  assert.equal(line.state, "reconnecting");
});

test("after giving up strangers, to try again gives them their time anew", () => {
  const line = new Line("sse");
  while (!line.follower.isOver) line.refuse(stranger(404));
  line.follower.retryNow();
  line.refuse(stranger(404));
  assert.equal(line.state, "reconnecting");
});

test("after giving up an unknown session, to try again gives it its time anew", () => {
  const line = new Line("sse");
  line.follow();
  line.close();
  while (!line.follower.isOver) line.refuse(problem(404, "session_unknown"));
  line.follower.retryNow();
  line.refuse(problem(404, "session_unknown"));
  assert.equal(line.state, "reconnecting");
});

test("what the producer does is known from the last heartbeat until the next welcome", () => {
  const line = new Line();
  line.open(welcome(0));
  assert.equal(line.follower.producer, null);
  line.send({ ...heartbeat(), producer: "stalled" });
  assert.equal(line.follower.producer, "stalled");
  line.close();
  line.open(welcome(0, "exact"));
  assert.equal(line.follower.producer, null);
});
