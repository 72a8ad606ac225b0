// When a client comes back, after how long, and when it gives up.

import assert from "node:assert/strict";
import test from "node:test";

import {
  end, EPOCH, error, event, heartbeat, Line, NOBODY, problem, reconnect, START_MS, stranger, TRANSPORTS, welcome,
} from "./connection-cases.js";

const STABLE_MS = 5000;

// The delay

test("a delay is drawn from a window that doubles", () => {
  const line = new Line("sse");
  const delays = Array.from({ length: 7 }, () => (line.fail(), line.delayMs));
  assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
});

test("until then nothing is dialled, and then it is", () => {
  const { follower, ...line } = new Line("sse");
  follower.next(line.nowMs);
  follower.unreachable(line.nowMs, NOBODY);
  assert.equal(follower.retryAtMs, START_MS + 500);
  assert.equal(follower.next(START_MS + 499.9), null);
  assert.equal(follower.retryAtMs, START_MS + 500);
  assert.notEqual(follower.next(START_MS + 500), null);
  assert.equal(follower.retryAtMs, null);
});

test("why it rests is visible until the next welcome", () => {
  const line = new Line("sse");
  line.fail();
  assert.deepEqual([line.state, line.error], ["reconnecting", NOBODY]);
  line.open();
  assert.deepEqual([line.state, line.error], ["reconnecting", NOBODY]);
  line.send(welcome(0));
  assert.deepEqual([line.state, line.error], ["live", null]);
});

test("the window is the one that was last advised, which a heartbeat may narrow", () => {
  const line = new Line("sse");
  line.open(welcome(0, "fresh", EPOCH, { retry_window: 4 }));
  line.close();
  assert.equal(line.delayMs, 2000);
  line.open(welcome(0, "exact"), heartbeat(0, 0.4));
  line.nowMs += STABLE_MS;
  line.close();
  assert.equal(line.delayMs, 200);
});

test("a welcome does not narrow a window", () => {
  const line = new Line("sse");
  line.open(welcome(0, "fresh", EPOCH, { retry_window: 10 }));
  line.close();
  line.open(welcome(0, "exact", EPOCH, { retry_window: 0.2 }));
  line.nowMs += STABLE_MS;
  line.close();
  assert.equal(line.delayMs, 5000);
});

for (const window of [undefined, null, "wide"]) {
  test(`a window that is ${window} leaves the one that is known, or 1 s`, () => {
    const line = new Line("sse");
    line.open(welcome(0, "fresh", EPOCH, { retry_window: window }), { ...heartbeat(), retry_window: window });
    line.close();
    assert.equal(line.delayMs, 500);
    line.open(welcome(0, "exact", EPOCH, { retry_window: 4 }), heartbeat(0, 4), { ...heartbeat(), retry_window: window });
    line.close();
    assert.equal(line.delayMs, 4000);
  });
}

test("the count begins anew after 5 s of being welcome", () => {
  const line = new Line("sse");
  line.fail();
  line.fail();
  line.open(welcome(0));
  line.nowMs += STABLE_MS;
  line.close();
  assert.equal(line.delayMs, 500);
});

for (const isWelcome of [true, false]) {
  test(`no count begins anew ${isWelcome ? "before that" : "without a welcome"}`, () => {
    const line = new Line("websocket");
    line.fail();
    line.fail();
    line.open(...(isWelcome ? [welcome(0)] : []));
    line.nowMs += isWelcome ? STABLE_MS - 1 : STABLE_MS;
    line.close();
    assert.equal(line.delayMs, 2000);
  });
}

test("nor by a welcome of before the cut", () => {
  const line = new Line("sse");
  line.open(welcome(0));
  line.close();
  const delays = Array.from({ length: 5 }, () => ((line.nowMs += STABLE_MS), line.fail(), line.delayMs));
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 10_000]);
});

test("the count begins anew too where a connection that lasted ends by a token or by waking", () => {
  for (const ended of ["token", "wake"]) {
    const line = new Line({ transport: "sse", canRenew: true });
    line.fail();
    line.fail();
    line.open(welcome(0));
    line.nowMs += STABLE_MS;
    if (ended === "wake") line.follower.heard(line.nowMs);
    if (ended === "wake") line.follower.wake();
    else line.send(error("token_expired", { retryable: true }));
    line.fail();
    assert.equal(line.delayMs, 500, ended);
  }
});

for (const [seconds, delayMs] of [[2.5, 2500], [1000, 900_000], [0, 5000], [-1, 5000]]) {
  test(`a reconnect in ${seconds} s comes after ${delayMs} ms: the server has drawn it, unless it is 0`, () => {
    const line = new Line("sse");
    line.open(welcome(0, "fresh", EPOCH, { retry_window: 10 }), reconnect(seconds));
    assert.deepEqual([line.delayMs, line.error.retryable, line.state], [delayMs, true, "reconnecting"]);
  });
}

test("on later attempts the delay of a reconnect is a floor", () => {
  const line = new Line("sse");
  line.fail();
  line.open(welcome(0, "fresh", EPOCH, { retry_window: 10 }), reconnect(2.5));
  assert.equal(line.delayMs, 10_000);
});

const SAYS = {
  "a frame": (line, seconds) => line.open(error("rate_limited", { retryable: true, retry_after: seconds })),
  "a problem": (line, seconds) => line.refuse(problem(429, "rate_limited", { retryable: true, retry_after: seconds })),
  "a header": (line, seconds) => line.refuse({ ...problem(429, "rate_limited", { retryable: true }), retryAfter: `${seconds}` }),
  "a proxy's header": (line, seconds) => line.refuse(stranger(502, { retryAfter: `${seconds}` })),
};

for (const [who, say] of Object.entries(SAYS)) {
  for (const [seconds, delayMs] of [[3, 3000], [0.1, 500], [10_000, 900_000]]) {
    test(`${seconds} s of ${who} are a floor: ${delayMs} ms`, () => {
      const line = new Line("sse");
      say(line, seconds);
      assert.equal(line.delayMs, delayMs);
    });
  }
}

test("a floor holds for one delay only", () => {
  const line = new Line("sse");
  line.refuse(problem(429, "rate_limited", { retryable: true, retry_after: 30 }));
  assert.equal(line.delayMs, 30_000);
  line.fail();
  assert.equal(line.delayMs, 1000);
});

test("to try now ends a rest once, and counts the attempts on", () => {
  const line = new Line("sse");
  line.refuse(problem(429, "rate_limited", { retryable: true, retry_after: 30 }));
  line.follower.retryNow();
  const { nowMs } = line;
  line.fail();
  assert.deepEqual([line.nowMs, line.delayMs], [nowMs, 1000]);
});

// How often

test("by default the number of attempts is unlimited", () => {
  const line = new Line("sse");
  for (let attempt = 0; attempt < 500; attempt += 1) line.fail();
  assert.equal(line.state, "reconnecting");
});

for (const maxAttempts of [1, 3]) {
  test(`of ${maxAttempts} attempts that bring nothing, the last is given up`, () => {
    const line = new Line({ transport: "sse", maxAttempts });
    for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
      assert.equal(line.follower.isOver, false);
      line.fail();
    }
    assert.deepEqual([line.state, line.error, line.follower.next(Infinity)], ["gave_up", NOBODY, null]);
  });
}

for (const [what, frames] of Object.entries({ "an event": [welcome(1), event(1)], "a heartbeat": [welcome(0), heartbeat()] })) {
  test(`an attempt that brings ${what} begins that count anew`, () => {
    const line = new Line({ transport: "websocket", maxAttempts: 2 });
    line.fail();
    line.open(...frames);
    line.close();
    line.fail();
    assert.equal(line.follower.isOver, false);
    line.fail();
    assert.equal(line.follower.isOver, true);
  });
}

test("what an attempt has brought it has brought, also when it is welcomed again", () => {
  const line = new Line({ transport: "websocket", maxAttempts: 1 });
  line.follow(1);
  line.send(welcome(1, "exact"));
  line.close();
  assert.equal(line.state, "reconnecting");
});

test("what came in the same message as the reason to come back was brought too", () => {
  const line = new Line({ transport: "websocket", maxAttempts: 1 });
  line.open(welcome(1), event(1), reconnect(1));
  assert.equal(line.state, "reconnecting");
});

test("a server that greets and brings nothing is not followed for ever", () => {
  const line = new Line({ transport: "websocket", maxAttempts: 3 });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    line.open(welcome(5, attempt ? "exact" : "fresh"));
    line.close();
  }
  assert.equal(line.state, "gave_up");
});

test("nor is one that brings no news", () => {
  const line = new Line({ transport: "websocket", maxAttempts: 3 });
  line.follow(1);
  line.close();
  for (let attempt = 0; attempt < 3; attempt += 1) {
    line.open(welcome(1, "exact"), event(1), { type: "weather" });
    line.close();
  }
  assert.equal(line.state, "gave_up");
});

// What errors mean

for (const code of ["forbidden", "session_gone", "bad_request", "not_found", "too_large"]) {
  test(`${code} is given up, whatever says it`, () => {
    const told = new Line("sse");
    told.open(error(code));
    const refused = new Line("sse");
    refused.refuse(problem(400, code));
    for (const line of [told, refused]) {
      assert.deepEqual([line.state, line.error.code, line.error.retryable], ["gave_up", code, false]);
      assert.equal(line.follower.next(line.nowMs + 1e9), null);
    }
  });
}

test("what comes after an error in the same message is not taken", () => {
  const line = new Line("websocket");
  assert.deepEqual(line.open(error("internal", { retryable: true }), welcome(1), event(1)), []);
  assert.deepEqual([line.state, line.error.code, line.follower.cursor], ["reconnecting", "internal", null]);
});

test("without a frame the close decides", () => {
  const line = new Line("websocket");
  line.follow();
  line.close(4403);
  assert.deepEqual([line.state, line.error.kind, line.error.closeCode], ["gave_up", "forbidden", 4403]);
});

test("204 to an event stream that brought a cursor says that it has everything", () => {
  const line = new Line("sse");
  line.follow(3);
  line.close();
  line.refuse(stranger(204));
  assert.deepEqual([line.state, line.error], ["ended", null]);
});

test("204 to anything else is not the end", () => {
  const fresh = new Line("sse");
  fresh.refuse(stranger(204));
  const pages = new Line("long-poll");
  pages.follow(3);
  pages.refuse(stranger(204));
  for (const line of [fresh, pages]) assert.equal(line.state, "reconnecting");
});

for (const transport of TRANSPORTS) {
  test(`what was over stays over, by ${transport}`, () => {
    const line = new Line(transport);
    line.open(welcome(0), end(0));
    line.follower.wake();
    line.follower.retryNow();
    line.follower.leave();
    line.follower.due(line.nowMs + 1e9);
    assert.deepEqual([line.state, line.follower.next(line.nowMs + 1e9), line.follower.cursor], ["ended", null, `${EPOCH}-0`]);
  });
}
