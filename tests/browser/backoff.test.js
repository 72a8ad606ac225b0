// How long a client waits before it comes back: the vectors that all clients share, in milliseconds.

import assert from "node:assert/strict";
import test from "node:test";

import { Backoff } from "../../src/agentprogress/browser/package/backoff.js";
import { seeded, vectors } from "./connection-cases.js";

const { cases, windows } = vectors("backoff");

function near(found, seconds) {
  assert.ok(Math.abs(found / 1000 - seconds) < 1e-9, `${found} ms instead of ${seconds} s`);
}

function tried(backoff, attempts) {
  for (let done = 0; done < attempts; done += 1) backoff.nextDelay();
  return backoff;
}

for (const { why, window, attempt, random, at_least, drawn, expected } of cases) {
  test(`${why}: ${expected} s`, () => {
    const backoff = tried(new Backoff(() => random), attempt);
    if (window !== null) backoff.advise(window * 1000);
    near(backoff.nextDelay(at_least * 1000, drawn), expected);
  });
}

for (const { why, told, expected } of windows) {
  test(`${why}: a window of ${expected} s`, () => {
    const backoff = new Backoff(() => 0.5);
    for (const [who, window] of told) backoff[who === "welcome" ? "welcome" : "advise"](window * 1000);
    near(backoff.nextDelay(), expected / 2);
  });
}

test("each delay counts an attempt, and a reset forgets them but not the window", () => {
  const backoff = new Backoff(() => 0.5);
  backoff.advise(4000);
  assert.deepEqual([backoff.attempt, backoff.nextDelay(), backoff.nextDelay(), backoff.attempt], [0, 2000, 4000, 2]);
  backoff.reset();
  assert.deepEqual([backoff.attempt, backoff.nextDelay()], [0, 2000]);
});

for (const window of [NaN, undefined, null, "10000", {}]) {
  test(`a window that is ${window} of type ${typeof window} is none`, () => {
    const backoff = new Backoff(() => 0.5);
    backoff.welcome(window);
    backoff.advise(window);
    assert.equal(backoff.nextDelay(), 500);
    backoff.welcome(200);
    backoff.reset();
    assert.equal(backoff.nextDelay(), 100);
  });
}

for (const floor of [NaN, undefined, null, -5]) {
  test(`a floor that is ${floor} is none`, () => assert.equal(new Backoff(() => 0.5).nextDelay(floor, true), 500));
}

test("an infinite window is the longest, and an infinite floor too", () => {
  const backoff = new Backoff(() => 0.5);
  backoff.advise(Infinity);
  assert.equal(backoff.nextDelay(), 10_000);
  assert.equal(backoff.nextDelay(Infinity), 900_000);
});

test("by default it draws by Math.random, from the whole of the window", () => {
  const delays = Array.from({ length: 200 }, () => new Backoff().nextDelay());
  assert.ok(Math.min(...delays) >= 0 && Math.max(...delays) < 1000);
  assert.ok(Math.min(...delays) < 250 && Math.max(...delays) > 750);
});

test("a crowd spreads evenly over the window of its server", () => {
  const random = seeded(7);
  const counts = Array(10).fill(0);
  for (let client = 0; client < 5000; client += 1) {
    const backoff = new Backoff(random);
    backoff.welcome(10_000);
    counts[Math.floor(backoff.nextDelay() / 1000)] += 1;
  }
  for (const count of counts) assert.ok(count > 400 && count < 600, `${counts}`);
});
