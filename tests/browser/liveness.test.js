// When a client takes a connection for dead, as the protocol tells it.

import assert from "node:assert/strict";
import test from "node:test";

import { EPOCH, event, HEARTBEAT_MS, heartbeat, Line, SILENCE_MS, START_MS, TRANSPORTS, welcome } from "./connection-cases.js";

const CONNECT_MS = 10_000;
const WAIT_MS = 20_000;
const DEAD_MS = HEARTBEAT_MS + SILENCE_MS;
const STREAMS = ["websocket", "sse"];

/** For how long nothing may be heard from now on. */
const patience = (line) => line.follower.deadlineMs - line.nowMs;

/** At the deadline it is dead, and not a moment before. */
function diesInTime(line) {
  const { link, deadlineMs } = line.follower;
  line.follower.due(deadlineMs - 0.01);
  assert.equal(line.follower.link, link);
  line.follower.due(deadlineMs);
  assert.equal(line.follower.link, null);
}

for (const transport of TRANSPORTS) {
  test(`a handshake has its time, by ${transport}`, () => {
    const line = new Line(transport);
    line.dial();
    assert.equal(patience(line), CONNECT_MS);
    diesInTime(line);
    assert.deepEqual([line.state, line.error.kind, line.error.retryable], ["reconnecting", "timeout", true]);
    assert.match(line.error.message, /10 s/);
  });

  test(`making a token takes nothing from that time, by ${transport}`, () => {
    const line = new Line(transport);
    line.dial();
    line.nowMs += CONNECT_MS / 2;
    line.follower.heard(line.nowMs);
    assert.equal(patience(line), CONNECT_MS);
  });

  test(`an open connection on which no welcome comes is dead after ${DEAD_MS} ms, whatever bytes come, by ${transport}`, () => {
    const line = new Line(transport);
    line.open();
    for (let second = 1; second < 20; second += 1) line.follower.received((line.nowMs += 1000), []);
    assert.equal(line.follower.deadlineMs, START_MS + DEAD_MS);
    diesInTime(line);
    assert.equal(line.state, "reconnecting");
  });
}

for (const transport of STREAMS) {
  for (const seconds of [1, 15, 60, 300]) {
    test(`by ${transport} a connection is dead 10 s after a heartbeat every ${seconds} s stays out`, () => {
      const line = new Line(transport);
      line.open(welcome(0, "fresh", EPOCH, { heartbeat_interval: seconds }));
      assert.equal(patience(line), seconds * 1000 + SILENCE_MS);
      diesInTime(line);
      assert.deepEqual([line.state, line.error.kind], ["reconnecting", "timeout"]);
    });
  }

  test(`every message and every byte moves the deadline, by ${transport}`, () => {
    const line = new Line(transport);
    line.open(welcome(0));
    for (const hear of [
      () => line.send(heartbeat()), () => line.send(event(1)), () => line.send({ type: "weather" }), () => line.send(event(1)),
      () => line.follower.heard(line.nowMs), () => line.follower.received(line.nowMs, []),
    ]) {
      line.nowMs += DEAD_MS - 1;
      hear();
      line.follower.due(line.nowMs + DEAD_MS - 1);
      assert.equal(patience(line), DEAD_MS);
    }
    assert.equal(line.state, "live");
  });
}

for (const interval of [0, -1, null, "often", undefined]) {
  test(`an interval that is ${interval} leaves the one it knows`, () => {
    const line = new Line();
    line.open(welcome(0, "fresh", EPOCH, { heartbeat_interval: interval }));
    assert.equal(patience(line), DEAD_MS);
  });
}

test("no interval makes it wait for ever", () => {
  const line = new Line();
  line.open(welcome(0, "fresh", EPOCH, { heartbeat_interval: 1e9 }));
  assert.ok(patience(line) <= 310_000);
});

test("the interval is remembered for the next connection, until its welcome says another one", () => {
  const line = new Line("sse");
  line.open(welcome(0, "fresh", EPOCH, { heartbeat_interval: 60 }));
  line.close();
  line.open();
  assert.equal(patience(line), 60_000 + SILENCE_MS);
  line.send(welcome(0, "exact"));
  assert.equal(patience(line), DEAD_MS);
});

test("a page that waits is waited for, and then read like any other", () => {
  const line = new Line("long-poll");
  line.open(welcome(0));
  line.dial();
  assert.equal(patience(line), CONNECT_MS + WAIT_MS);
  line.nowMs += WAIT_MS;
  line.follower.opened(line.nowMs);
  assert.equal(patience(line), DEAD_MS);
  diesInTime(line);
});

test("a transport that is tried again is not waited for as a page is", () => {
  const line = new Line();
  line.fail();
  line.dial();
  line.follower.opened(line.nowMs);
  line.waitInVain();
  line.open(welcome(0));
  assert.equal(line.follower.transport, "long-poll");
  line.nowMs += 15 * 60_000 + 1;
  const link = line.dial();
  assert.deepEqual([link.transport, link.waits, patience(line)], ["websocket", false, CONNECT_MS]);
});

test("a deadline that is long over is found by whoever looks next", () => {
  const line = new Line("sse");
  line.follow(1);
  line.nowMs += 3_600_000;
  line.follower.due(line.nowMs);
  assert.deepEqual([line.state, line.follower.link], ["reconnecting", null]);
  assert.match(line.error.message, /3600 s/);
});

test("who has nothing open has no deadline", () => {
  const line = new Line("sse");
  line.follower.due(START_MS + 1e9);
  line.follow(1);
  line.close();
  const { delayMs } = line;
  line.follower.due(START_MS + 1e9);
  assert.deepEqual([line.follower.deadlineMs, line.delayMs, line.state], [Infinity, delayMs, "reconnecting"]);
});

test("who has slept says why it joins again, and is itself again with the welcome", () => {
  const line = new Line("websocket");
  line.follow(1);
  line.follower.wake();
  assert.deepEqual([line.state, line.error.kind, line.error.retryable], ["reconnecting", "timeout", true]);
  line.open(welcome(1, "exact"));
  assert.deepEqual([line.state, line.error], ["live", null]);
});

test("waking takes no attempt and changes no transport, however often", () => {
  const line = new Line({ maxAttempts: 1 });
  line.follow(1);
  for (let round = 0; round < 10; round += 1) {
    line.follower.wake();
    line.follower.wake();
    assert.equal(line.dial().transport, "websocket");
  }
  assert.equal(line.state, "reconnecting");
});
