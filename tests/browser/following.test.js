// Joining and following, as the protocol tells them: what is new, what was there before, and what cannot be.

import assert from "node:assert/strict";
import test from "node:test";

import { isEvent, readFrames } from "../../src/agentprogress/browser/package/frames.js";
import {
  end, EPOCH, error, event, events, gap, heartbeat, joined, Line, OTHER, SESSION, snapshot, TRANSPORTS, vectors, welcome,
} from "./connection-cases.js";

const told = (news) => news.map(({ type, seq }) => seq ?? type);

function cutOff(line) {
  assert.equal(line.state, "reconnecting");
  assert.equal(line.follower.link, null);
  assert.deepEqual([line.error.name, line.error.kind, line.error.retryable], ["ProgressError", "protocol", true]);
}

// Joining

test("it is replaying until it has what the welcome promised, and then live", () => {
  const line = new Line();
  line.open(welcome(2), event(1));
  assert.equal(line.state, "replaying");
  line.send(event(2));
  assert.equal(line.state, "live");
});

for (const [what, frames] of Object.entries({
  "an empty log": [welcome(0)],
  "an event beyond the head": [welcome(0), event(1)],
  "a snapshot beyond the head, of a log that has grown,": [welcome(3), event(1), gap(2, 8), snapshot(8)],
  "a snapshot at the head": [welcome(9, "snapshot"), snapshot(9)],
})) {
  test(`${what} is live at once`, () => {
    const line = new Line();
    line.open(...frames);
    assert.equal(line.state, "live");
  });
}

for (const transport of TRANSPORTS) {
  for (const { name, log, cursor, ...join } of vectors("joins").cases) {
    test(`${name}, by ${transport}: it has all there is, and knows from where`, () => {
      const line = new Line(transport);
      const [, epoch, seq] = /^(\w+)-(\d+)$/.exec(cursor ?? "") ?? [];
      if (epoch) line.open(welcome(Number(seq), "snapshot", epoch), snapshot(Number(seq), epoch));
      if (transport !== "long-poll") line.follower.leave();
      const frames = joined(log, join);
      assert.equal(line.dial().cursor, epoch ? cursor : null);
      line.follower.opened(line.nowMs);
      const news = line.send(...frames);
      assert.deepEqual(news.map(({ reset, ...frame }) => frame), frames.filter(({ type }) => type !== "gap"));
      // Without a position there is nothing that a reset could make void, and all begins.
      assert.equal(news[0].reset, !["exact", "gap"].includes(join.resume));
      assert.deepEqual([line.follower.cursor, line.state], [`${log.epoch}-${log.head}`, "live"]);
    });
  }
}

for (const { name, log, cursor, ...join } of vectors("joins").cases.filter((each) => each.position < each.log.head)) {
  test(`${name}: an event that is missing is asked for again, and none is taken twice`, () => {
    const line = new Line();
    const [, epoch, seq] = /^(\w+)-(\d+)$/.exec(cursor ?? "") ?? [];
    if (epoch) line.open(welcome(Number(seq), "snapshot", epoch), snapshot(Number(seq), epoch));
    line.follower.leave();
    const first = joined(log, join).filter((frame) => frame.seq !== join.position + 1 || !isEvent(frame));
    line.open(...first, end(log.head));
    cutOff(line);
    assert.equal(line.dial().cursor, `${log.epoch}-${join.position}`);
    line.follower.opened(line.nowMs);
    const again = [welcome(log.head, "exact", log.epoch), ...events(Math.max(join.position, 1), log.head), end(log.head)];
    assert.deepEqual(told(line.send(...again)), ["welcome", ...told(events(join.position + 1, log.head)), "end"]);
    assert.equal(line.state, "ended");
  });
}

for (const version of [0, 2, 99]) {
  test(`version ${version} of the protocol is given up, in a sentence`, () => {
    const line = new Line();
    assert.deepEqual(line.open({ type: "welcome", protocol: version }, event(1)), []);
    assert.equal(line.state, "gave_up");
    assert.deepEqual([line.error.kind, line.error.retryable], ["protocol", false]);
    assert.match(line.error.message, new RegExp(`version ${version}\\b`));
  });
}

for (const frame of [event(1), gap(1, 2), snapshot(2), end(0), heartbeat()]) {
  test(`${frame.type} before the first welcome is a protocol error, on each connection`, () => {
    const line = new Line();
    assert.deepEqual(line.open(frame), []);
    cutOff(line);
    line.open(welcome(0));
    line.close();
    assert.deepEqual(line.open(frame), []);
    cutOff(line);
    assert.equal(line.follower.cursor, `${EPOCH}-0`);
  });
}

test("a control frame of a later version may come even before the welcome", () => {
  const line = new Line();
  assert.deepEqual(told(line.open({ type: "weather" }, welcome(0))), ["welcome"]);
  assert.equal(line.state, "live");
});

for (const [resume, epoch] of [
  ["reset", OTHER], ["exact", OTHER], ["gap", OTHER], ["reset", EPOCH], ["fresh", EPOCH], ["snapshot", EPOCH],
]) {
  test(`${resume} of ${epoch === EPOCH ? "this" : "another"} epoch voids the position`, () => {
    const line = new Line();
    line.follow(3);
    line.close();
    const news = line.open(welcome(1, resume, epoch), event(1));
    assert.deepEqual([told(news), news[0].reset, line.follower.cursor], [["welcome", 1], true, `${epoch}-1`]);
  });
}

test("a connection may begin anew without a cut, for another epoch", () => {
  const line = new Line("websocket");
  line.follow(3);
  const news = line.send(welcome(1, "reset", OTHER), event(1));
  assert.deepEqual([told(news), news[0].reset, line.follower.cursor], [["welcome", 1], true, `${OTHER}-1`]);
  assert.notEqual(line.follower.link, null);
});

// Following

test("events come in order and once", () => {
  const line = new Line();
  assert.deepEqual(told(line.open(welcome(3), event(1), event(2), event(1), event(2), event(3))), ["welcome", 1, 2, 3]);
  assert.deepEqual(told(line.send(event(3), event(4), event(4))), [4]);
  assert.equal(line.follower.cursor, `${EPOCH}-4`);
});

test("at a hole it comes back with its last cursor, and what came before it counts", () => {
  const line = new Line();
  assert.deepEqual(told(line.open(welcome(5), event(1), event(3), event(4))), ["welcome", 1]);
  cutOff(line);
  assert.equal(line.dial().cursor, `${EPOCH}-1`);
});

test("the first event of a log is its first", () => {
  const line = new Line();
  assert.deepEqual(told(line.open(welcome(5), event(2))), ["welcome"]);
  cutOff(line);
});

for (const [head, why] of [[5, "ahead of the position"], [0, "behind it"]]) {
  test(`an end ${why} is not believed`, () => {
    const line = new Line();
    assert.deepEqual(told(line.open(welcome(5), event(1), end(head))), ["welcome", 1]);
    cutOff(line);
    assert.equal(line.dial().cursor, `${EPOCH}-1`);
  });
}

test("nor is one at the position, where the welcome promised more", () => {
  const line = new Line();
  line.open(welcome(5), event(1), end(1));
  cutOff(line);
});

test("a gap is bridged by its snapshot, and by nothing else", () => {
  const line = new Line();
  assert.deepEqual(told(line.open(welcome(9, "snapshot"), snapshot(4), gap(5, 8), snapshot(8), event(9))), ["welcome", 4, 8, 9]);
  assert.equal(line.state, "live");
  line.send(gap(10, 12), event(13));
  cutOff(line);
  assert.equal(line.follower.cursor, `${EPOCH}-9`);
});

test("a snapshot of before the position is dropped, and one at it is taken", () => {
  const line = new Line();
  line.follow(2);
  assert.deepEqual(told(line.send(gap(1, 1), snapshot(1))), []);
  assert.deepEqual(told(line.send(snapshot(2), event(3))), [2, 3]);
});

for (const [what, frame] of Object.entries({
  "of another epoch": snapshot(3, OTHER),
  "that is of another seq than its state": { ...snapshot(3), seq: 4 },
  "that is not a state": { type: "snapshot", seq: 3, state: 7 },
})) {
  test(`a snapshot ${what} is a protocol error`, () => {
    const line = new Line();
    assert.deepEqual(told(line.open(welcome(3, "snapshot"), frame)), ["welcome"]);
    cutOff(line);
  });
}

for (const transport of TRANSPORTS) {
  test(`the end is the end, by ${transport}`, () => {
    const line = new Line(transport);
    assert.deepEqual(told(line.open(welcome(1), event(1), end(1), event(2))), ["welcome", 1, "end"]);
    assert.deepEqual([line.state, line.error, line.follower.link], ["ended", null, null]);
    assert.equal(line.follower.next(line.nowMs + 1e9), null);
  });
}

for (const code of [1000, 1001, 1005, 1006, 1012]) {
  test(`a connection that closes with ${code} without an end was cut, however cleanly`, () => {
    const line = new Line("websocket");
    line.follow(1);
    line.close(code);
    assert.deepEqual([line.state, line.error.kind, line.error.closeCode], ["reconnecting", "network", code]);
    assert.equal(line.dial().cursor, `${EPOCH}-1`);
  });
}

for (const frame of [event(1), welcome(9, "reset", OTHER), end(0), gap(1, 2), snapshot(5), heartbeat(), error("forbidden")]) {
  test(`${frame.type} of another session is ignored, also before the welcome`, () => {
    const line = new Line();
    assert.deepEqual(told(line.open({ ...frame, session: "another" }, welcome(0))), ["welcome"]);
    assert.deepEqual(line.send({ ...frame, session: "another" }), []);
    assert.deepEqual([line.state, line.follower.cursor, line.follower.producer], ["live", `${EPOCH}-0`, null]);
  });
}

test("a frame that names the session is taken", () => {
  const line = new Line();
  line.open({ ...welcome(1), session: SESSION }, event(1, { session: SESSION }));
  assert.equal(line.follower.cursor, `${EPOCH}-1`);
});

// What is odd

for (const over of ["websocket", "sse"]) {
  for (const { wire, why } of vectors("frames").unknown) {
    test(`${why}: it moves the position, by ${over}`, () => {
      const line = new Line(over);
      assert.deepEqual(line.open(welcome(), wire).slice(1), [wire]);
      assert.deepEqual([line.state, line.follower.cursor], ["live", `${EPOCH}-1`]);
    });
  }
  for (const { wire, why } of vectors("frames").ignored) {
    test(`${why}: it changes nothing, by ${over}`, () => {
      const line = new Line(over);
      line.open(welcome());
      assert.deepEqual(line.send(wire), []);
      assert.deepEqual([line.state, line.follower.cursor], ["live", `${EPOCH}-0`]);
    });
  }
}

for (const { over, text, why } of vectors("frames").protocol_errors) {
  test(`${JSON.stringify(text)} by ${over}, which is ${why}: it comes back with its cursor`, () => {
    const line = new Line(over);
    line.follow(2);
    assert.deepEqual(line.sendText(text), []);
    cutOff(line);
    assert.equal(line.dial().cursor, `${EPOCH}-2`);
  });
}

for (const { over, text, why } of vectors("frames").give_up) {
  test(`${why}: it does not come back`, () => {
    const line = new Line(over);
    line.open();
    line.follower.received(line.nowMs, readFrames(text));
    assert.deepEqual([line.state, line.follower.next(line.nowMs)], ["gave_up", null]);
  });
}
