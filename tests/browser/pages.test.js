// Following by long polls.

import assert from "node:assert/strict";
import test from "node:test";

import { end, EPOCH, event, events, Line, problem, START_MS, welcome } from "./connection-cases.js";

const PAUSE_MS = 1000;
const STABLE_MS = 5000;

test("the first page does not wait, and the next ones do", () => {
  const line = new Line("long-poll");
  assert.equal(line.dial().waits, false);
  line.follower.opened(line.nowMs);
  line.send(welcome(1), event(1));
  for (const seq of [2, 3]) {
    const { waits, cursor } = line.dial();
    assert.deepEqual([waits, cursor, line.nowMs], [true, `${EPOCH}-${seq - 1}`, START_MS]);
    line.follower.opened(line.nowMs);
    assert.deepEqual(line.send(welcome(seq, "exact"), event(seq)).map(({ seq: found }) => found), [undefined, seq]);
  }
});

test("between two pages it is as live as before, and nothing is wrong", () => {
  const line = new Line("long-poll");
  line.follow(1);
  assert.deepEqual([line.state, line.error, line.follower.link, line.follower.deadlineMs], ["live", null, null, Infinity]);
  line.dial();
  assert.equal(line.state, "live");
});

test("a page that has waited in vain is asked for again at once", () => {
  const line = new Line("long-poll");
  line.open(welcome(0));
  line.dial();
  line.nowMs += 20_000;
  line.follower.opened(line.nowMs);
  line.send(welcome(0, "exact"));
  assert.notEqual(line.follower.next(line.nowMs), null);
});

test("nor is there a pause after a first page that brings nothing, which did not wait", () => {
  const line = new Line("long-poll");
  line.follow(1);
  line.follower.leave();
  line.open(welcome(1, "exact"));
  assert.equal(line.follower.retryAtMs, null);
  assert.equal(line.follower.next(line.nowMs).waits, true);
});

test("a server that does not wait is not asked without a pause", () => {
  const line = new Line("long-poll");
  line.open(welcome(0));
  line.open(welcome(0, "exact"));
  assert.deepEqual([line.delayMs, line.state, line.error], [PAUSE_MS, "live", null]);
  assert.equal(line.follower.next(line.nowMs + PAUSE_MS - 1), null);
  assert.notEqual(line.follower.next(line.nowMs + PAUSE_MS), null);
});

test("nor is a cache that answers with the first page for ever", () => {
  const line = new Line("long-poll");
  for (let page = 0; page < 100; page += 1) line.open(welcome(1), event(1));
  assert.ok(line.nowMs - START_MS >= 98 * PAUSE_MS, `100 pages in ${line.nowMs - START_MS} ms`);
});

test("pages that bring something are asked for at once", () => {
  const line = new Line("long-poll");
  for (let seq = 1; seq < 50; seq += 1) line.open(welcome(100, seq === 1 ? "fresh" : "exact"), event(seq));
  assert.deepEqual([line.nowMs, line.state], [START_MS, "replaying"]);
});

test("a page may bring a log to its end", () => {
  const line = new Line("long-poll");
  line.open(welcome(300), ...events(1, 256));
  line.open(welcome(300, "exact"), ...events(257, 300), end(300));
  assert.deepEqual([line.state, line.follower.next(line.nowMs)], ["ended", null]);
});

for (const [how, cut] of Object.entries({
  "a cut": (line) => line.close(),
  "an answer that is none": (line) => line.follower.refused(line.nowMs, problem(503, "draining", { retryable: true })),
  "waking": (line) => line.follower.wake(),
  "leaving": (line) => line.follower.leave(),
})) {
  test(`after ${how} the first page does not wait again`, () => {
    const line = new Line("long-poll");
    line.open(welcome(0));
    assert.equal(line.dial().waits, true);
    line.follower.opened(line.nowMs);
    cut(line);
    assert.equal(line.dial().waits, false);
  });
}

test("an error between pages is judged like any other", () => {
  const line = new Line("long-poll");
  line.open(welcome(0));
  line.refuse(problem(410, "session_gone"));
  assert.deepEqual([line.state, line.error.kind], ["gave_up", "gone"]);
});

test("a page that is cut short is not turned, and asked for again from the last event", () => {
  const line = new Line("long-poll");
  line.open(welcome(5), event(1), event(3));
  assert.deepEqual([line.state, line.error.kind, line.follower.link], ["reconnecting", "protocol", null]);
  const { cursor, waits } = line.dial();
  assert.deepEqual([cursor, waits], [`${EPOCH}-1`, false]);
});

for (const pages of [1, 5]) {
  test(`being welcome lasts from page to page, over ${pages}`, () => {
    const line = new Line("long-poll");
    line.fail();
    line.fail();
    for (let page = 0; page < pages; page += 1) {
      line.open(welcome(0, page ? "exact" : "fresh"));
      line.nowMs += STABLE_MS / pages;
    }
    line.dial();
    line.close();
    assert.equal(line.delayMs, 500);
  });
}

test("to try now ends the pause between two pages", () => {
  const line = new Line("long-poll");
  line.open(welcome(0));
  line.open(welcome(0, "exact"));
  line.follower.retryNow();
  assert.notEqual(line.follower.next(line.nowMs), null);
});
