// For how long what sounds final is not taken for it: what proxies, sign-in pages and other applications say, a session that
// a server does not know after a restart, a token that is refused.

import assert from "node:assert/strict";
import test from "node:test";

import { EPOCH, error, event, GRACE_MS, Line, problem, START_MS, stranger, welcome } from "./connection-cases.js";

const LONGEST_MS = 20_000;

function refuseFor(line, answer, durationMs) {
  const untilMs = line.nowMs + durationMs;
  while (!line.follower.isOver && line.nowMs < untilMs) line.refuse(answer);
}

for (const [who, answer] of Object.entries({
  "somebody's 404": stranger(404),
  "a sign-in page": stranger(200),
  "somebody's 403": stranger(403),
  "somebody's 401 without a token to renew": stranger(401),
  "another application's problem": stranger(404, { problem: { title: "Not Found" }, contentType: "application/problem+json" }),
})) {
  for (const transport of ["sse", "long-poll"]) {
    test(`30 s of ${who} before any welcome are a wrong address, by ${transport}`, () => {
      const line = new Line(transport);
      refuseFor(line, answer, 10 * GRACE_MS);
      assert.equal(line.state, "gave_up");
      assert.ok(line.nowMs - START_MS >= GRACE_MS && line.nowMs - START_MS <= GRACE_MS + LONGEST_MS);
      assert.match(line.error.message, new RegExp(`wrong address answered ${answer.status}`));
    });
  }
}

test("a stranger's 401 is given up too, where a new token does not help", () => {
  const line = new Line({ transport: "sse", canRenew: true });
  refuseFor(line, stranger(401), 10 * GRACE_MS);
  assert.equal(line.state, "gave_up");
});

for (const status of [408, 425, 429, 500, 502, 503, 504]) {
  test(`${status} is waited for, and begins the time of strangers anew`, () => {
    const line = new Line("sse");
    refuseFor(line, stranger(status), 10 * GRACE_MS);
    assert.equal(line.state, "reconnecting");
    line.refuse(stranger(404));
    line.nowMs += GRACE_MS / 2;
    line.refuse(stranger(status));
    line.nowMs += GRACE_MS;
    line.refuse(stranger(404));
    assert.equal(line.state, "reconnecting");
  });
}

for (const [what, happens] of Object.entries({
  "that nobody is there": (line) => line.fail(),
  "a cut": (line) => (line.open(), line.close()),
  "a problem of the server": (line) => line.refuse(problem(503, "draining", { retryable: true })),
})) {
  test(`${what} begins the time of strangers anew`, () => {
    const line = new Line("sse");
    line.refuse(stranger(404));
    line.nowMs += GRACE_MS;
    happens(line);
    line.refuse(stranger(404));
    assert.equal(line.state, "reconnecting");
  });
}

test("just before the 30 s of strangers are over they are still asked, and then no longer", () => {
  const line = new Line("sse");
  line.refuse(stranger(404));
  for (const [afterMs, state] of [[GRACE_MS - 1, "reconnecting"], [GRACE_MS, "gave_up"]]) {
    line.nowMs = START_MS + afterMs;
    line.follower.wake();
    line.refuse(stranger(404));
    assert.equal(line.state, state);
  }
});

test("after a welcome strangers are waited out", () => {
  const line = new Line("sse");
  line.follow(1);
  line.close();
  refuseFor(line, stranger(404), 100 * GRACE_MS);
  assert.equal(line.state, "reconnecting");
  line.open(welcome(1, "exact"));
  assert.equal(line.state, "live");
});

// A session that is unknown

const UNKNOWN = ["session_unknown", "wrong_process"];

for (const code of UNKNOWN) {
  test(`who was never welcome gives ${code} up at once`, () => {
    const line = new Line("sse");
    line.refuse(problem(404, code));
    assert.deepEqual([line.state, line.error.kind, line.error.code], ["gave_up", "unknown_session", code]);
    assert.doesNotMatch(line.error.message, /durable/);
  });

  test(`who was welcome comes back to ${code} for 30 s, and says why it gives up`, () => {
    const line = new Line("websocket");
    line.follow();
    line.nowMs += 3_600_000;
    line.close();
    let sinceMs;
    while (!line.follower.isOver) {
      line.open();
      sinceMs ??= line.nowMs;
      assert.ok(line.nowMs < sinceMs + GRACE_MS + LONGEST_MS);
      line.send(error(code));
    }
    assert.ok(line.nowMs >= sinceMs + GRACE_MS);
    assert.deepEqual([line.error.kind, line.error.code, line.error.retryable], ["unknown_session", code, false]);
    assert.match(line.error.message, /restarted without a durable store/);
  });
}

test("while it may still be found, nothing is said of a store", () => {
  const line = new Line("sse");
  line.follow();
  line.close();
  line.refuse(problem(404, "session_unknown", { detail: "There is no session." }));
  assert.deepEqual([line.state, line.error.message], ["reconnecting", "There is no session."]);
});

test("just before the 30 s are over it is still waited for, and then no longer", () => {
  const line = new Line("sse");
  line.follow();
  line.close();
  line.refuse(problem(404, "session_unknown"));
  const sinceMs = line.nowMs;
  for (const [afterMs, state] of [[GRACE_MS - 1, "reconnecting"], [GRACE_MS, "gave_up"]]) {
    line.nowMs = sinceMs + afterMs;
    line.follower.wake();
    line.refuse(problem(404, "session_unknown"));
    assert.equal(line.state, state);
  }
});

test("the 30 s begin with the first such answer and not with the cut", () => {
  const line = new Line("sse");
  line.follow();
  line.close();
  line.fail();
  line.nowMs += 10 * GRACE_MS;
  line.refuse(problem(404, "session_unknown"));
  assert.equal(line.state, "reconnecting");
});

test("a welcome gives them anew", () => {
  const line = new Line("sse");
  line.follow();
  for (let round = 0; round < 3; round += 1) {
    line.close();
    line.refuse(problem(404, "session_unknown"));
    line.nowMs += GRACE_MS - 1;
    line.open(welcome(1, "exact"));
  }
  assert.equal(line.state, "live");
});

test("other troubles in between do not", () => {
  const line = new Line("sse");
  line.follow();
  line.close();
  line.refuse(problem(404, "session_unknown"));
  line.fail();
  line.refuse(stranger(502));
  line.nowMs += GRACE_MS;
  line.refuse(problem(404, "session_unknown"));
  assert.equal(line.state, "gave_up");
});

test("retry_after is a floor for an unknown session too", () => {
  const line = new Line("sse");
  line.open(welcome(0), error("session_unknown", { retry_after: 20 }));
  assert.equal(line.delayMs, 20_000);
});

// Tokens

const CODES = ["unauthorized", "token_expired"];
const renewing = (transport = "sse") => new Line({ transport, canRenew: true });

for (const code of CODES) {
  test(`after ${code} a token is renewed at once, and nothing is lost`, () => {
    const line = renewing("websocket");
    line.follow(1);
    line.nowMs += 60_000;
    const { nowMs } = line;
    line.send(error(code, { retryable: true }));
    assert.equal(line.state, "reconnecting");
    const { renews, cursor } = line.dial();
    assert.deepEqual([renews, cursor, line.nowMs], [true, `${EPOCH}-1`, nowMs]);
  });

  test(`${code} is given up where no token can be had`, () => {
    const line = new Line("websocket");
    line.open(welcome(0), error(code, { retryable: true }));
    assert.deepEqual([line.state, line.error.kind, line.error.code], ["gave_up", "unauthorized", code]);
  });

  test(`${code} for a token that was just made is given up`, () => {
    const line = renewing();
    line.refuse(problem(401, code, { retryable: true }));
    line.refuse(problem(401, code, { retryable: true }));
    assert.deepEqual([line.state, line.error.kind], ["gave_up", "unauthorized"]);
  });
}

for (const code of [4401, 4104]) {
  test(`the close ${code} alone says the same`, () => {
    const line = renewing("websocket");
    line.follow();
    line.close(code);
    assert.equal(line.dial().renews, true);
  });
}

test("so does the 401 of an application's own check", () => {
  const line = renewing();
  line.refuse(stranger(401));
  assert.deepEqual([line.follower.retryAtMs, line.dial().renews], [null, true]);
});

test("no other answer of a stranger costs a token", () => {
  const line = renewing();
  line.refuse(stranger(403));
  assert.deepEqual([line.delayMs, line.dial().renews], [500, false]);
});

test("after giving up a token, to try again makes another one", () => {
  const line = renewing();
  line.refuse(problem(401, "unauthorized"));
  line.refuse(problem(401, "unauthorized"));
  line.follower.retryNow();
  assert.equal(line.dial().renews, true);
});

test("each welcome allows another token", () => {
  const line = renewing();
  line.follow();
  for (let round = 0; round < 5; round += 1) {
    line.nowMs += 300_000;
    line.send(error("token_expired", { retryable: true }));
    assert.equal(line.state, "reconnecting");
    line.open(welcome(1, "exact"));
  }
});

test("a token is made once, and then used", () => {
  const line = renewing();
  line.open(welcome(0), error("token_expired", { retryable: true }));
  assert.equal(line.dial().renews, true);
  line.follower.opened(line.nowMs);
  line.send(welcome(0, "exact"), event(1));
  line.close();
  assert.equal(line.dial().renews, false);
});

test("one that was made long ago is renewed again", () => {
  const line = renewing();
  line.open(welcome(0), error("token_expired", { retryable: true }));
  line.fail(); // with the new one
  line.nowMs += 5_000_000;
  line.refuse(problem(401, "token_expired", { retryable: true }));
  assert.equal(line.dial().renews, true);
});

for (const transport of ["websocket", "sse"]) {
  test(`a server that welcomes and then refuses the token is not asked without a pause, by ${transport}`, () => {
    const line = renewing(transport);
    for (let round = 0; round < 50 && !line.follower.isOver; round += 1) {
      line.open(welcome(0, round ? "exact" : "fresh"), error("token_expired", { retryable: true }));
    }
    assert.ok(line.follower.isOver || line.nowMs - START_MS > 10_000);
  });
}
