// Frames as they travel: the vectors that all clients share, each encoding, and that nothing but a `ProgressError` is thrown.

import assert from "node:assert/strict";
import test from "node:test";

import { ProgressError } from "../../src/agentprogress/browser/package/errors.js";
import { isEvent, readFrame, readFrames, readPage } from "../../src/agentprogress/browser/package/frames.js";
import { event, vectors, welcome } from "./connection-cases.js";

const { control, events, ignored, unknown, protocol_errors: broken, give_up: versions } = vectors("frames");

function isMalformed(error) {
  assert.ok(error instanceof ProgressError, error);
  assert.deepEqual([error.kind, error.retryable, error.status, error.code], ["protocol", true, null, null]);
  assert.match(error.message, /\.$/);
  return true;
}

const READERS = {
  "as an event's data": (frame) => readFrame(JSON.stringify(frame)),
  "in a message": (frame) => readFrames(JSON.stringify([frame]))[0],
  "in a page": (frame) => readPage(JSON.stringify({ frames: [frame], cursor: "I9kYN9ZwS0-1", done: false }))[0],
};

const readers = Object.entries(READERS);

function isRefused(frame) {
  for (const [where, read] of readers) assert.throws(() => read(frame), isMalformed, where);
}

function isLetThrough(frame) {
  for (const [where, read] of readers) assert.deepEqual(read(frame), frame, where);
}

for (const { wire, why } of [...control, ...events, ...ignored, ...unknown]) {
  test(`${JSON.stringify(wire).slice(0, 100)} is let through as it is${why ? `: ${why}` : ""}`, () => isLetThrough(wire));
}

// What a control frame may lack, apart from fields that only some of its kind have.
const NEEDLESS = [
  "type", "protocol", "heartbeat_interval", "retry_window", "server_time", "retryable", "retry_after", "gone", "reason",
];

for (const { wire } of control.slice(0, -2)) {
  const needed = Object.keys(wire).filter((name) => !NEEDLESS.includes(name));
  if (wire.type === "reconnect") needed.push("retry_after");
  test(`${JSON.stringify(wire).slice(0, 60)} needs ${needed.join(", ")}`, () => {
    for (const name of needed) {
      isRefused({ ...wire, [name]: undefined });
      isRefused({ ...wire, [name]: null });
    }
  });
}

for (const odd of [null, 7, true, "text", [], {}, { type: null }, { type: 7 }, { type: ["end"] }, { seq: 1 }]) {
  test(`${JSON.stringify(odd)} is no frame`, () => isRefused(odd));
}

for (const seq of [undefined, null, 0, -1, 1.5, "1", true, [1], {}]) {
  test(`an event of seq ${JSON.stringify(seq)} is malformed`, () => isRefused({ ...event(1), seq }));
}

for (const protocol of [0, 2, 99]) {
  test(`a welcome of version ${protocol} may lack anything but its number`, () => isLetThrough({ type: "welcome", protocol }));
}

test("what an object inherits is no type", () => {
  for (const type of ["constructor", "__proto__", "toString", "hasOwnProperty"]) isLetThrough({ type });
});

for (const { over, text, why } of broken) {
  test(`${JSON.stringify(text)} by ${over} throws: ${why}`, () => {
    assert.throws(() => (over === "sse" ? readFrame(text) : readFrames(text)), isMalformed);
  });
}

for (const { text, why } of versions) {
  test(`${text} is read: ${why}`, () => assert.equal(readFrames(text)[0].protocol, 2));
}

for (const text of [
  "", "null", "[]", "7", "{}", '{"frames":null}', '{"frames":[]}', '{"frames":{}}', '{"frames":[7]}', "<html>", '{"frames":',
]) {
  test(`${JSON.stringify(text)} is no page`, () => assert.throws(() => readPage(text), isMalformed));
}

test("one broken frame breaks its message, because what follows it cannot be trusted", () => {
  assert.throws(() => readFrames(JSON.stringify([welcome(), { type: 7 }, event(1)])), isMalformed);
  assert.throws(() => readPage(JSON.stringify({ frames: [welcome(), null] })), isMalformed);
});

test("frames keep their order", () => {
  const frames = [welcome(3), event(1), event(2), event(3)];
  assert.deepEqual(readFrames(JSON.stringify(frames)), frames);
});

test("a dot makes an event", () => {
  assert.deepEqual([".", "a.b", "end", ""].map((type) => isEvent({ type })), [true, true, false, false]);
});

test("nesting as deep as a message may be is read", () => {
  const depth = 5000;
  const text = `[{"type":"a.b","seq":1,"data":${"[".repeat(depth)}${"]".repeat(depth)}}]`;
  assert.equal(readFrames(text).length, 1);
});
