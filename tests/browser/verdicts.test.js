// What a close, an error and an answer mean: the vectors that all clients share, and what a `Follower` makes of them.

import assert from "node:assert/strict";
import test from "node:test";

import { isPassing, judgeAnswer, judgeClose, judgeFrame } from "../../src/agentprogress/browser/package/verdicts.js";
import { end, error, Line, problem, reconnect, stranger, vectors, welcome } from "./connection-cases.js";

const { codes, websocket, http } = vectors("close_codes");
const KINDS = ["network", "timeout", "unauthorized", "forbidden", "unknown_session", "gone", "overloaded", "server", "protocol"];

/** What one does that was never welcome, and one that was: they differ where there is a grace. */
function actionAfter(tell, transport) {
  const [never, was] = [false, true].map((isWelcome) => {
    const line = new Line({ transport, canRenew: true });
    if (isWelcome) line.follow(1);
    else line.open();
    if (isWelcome && transport === "sse") {
      line.follower.leave();
      line.dial();
    }
    tell(line);
    return line;
  });
  if (never.state === "gave_up" && was.state === "reconnecting") return "unknown_grace";
  if (was.state === "ended") return "done";
  assert.equal(never.state, was.state);
  if (was.state === "gave_up") return "give_up";
  assert.equal(was.state, "reconnecting");
  if (was.follower.retryAtMs !== null) return "come_back";
  return was.dial().renews ? "new_token" : "at once";
}

const refuse = (answer) => (line) => line.follower.refused(line.nowMs, answer);

for (const { name, http: status, websocket: close, retryable, action } of codes) {
  test(`${name} as a frame: ${action}`, () => {
    const frame = error(name, { retryable });
    const verdict = judgeFrame(frame);
    assert.deepEqual([verdict.action, verdict.error.code, verdict.error.message], [action, name, "Why."]);
    assert.equal(verdict.error.retryable, retryable);
    assert.equal(actionAfter((line) => line.send(frame), "websocket"), action);
  });

  test(`${close}, the close of ${name}, alone: ${action}`, () => {
    const verdict = judgeClose(close);
    assert.deepEqual([verdict.action, verdict.error.closeCode], [action, close]);
    assert.equal(actionAfter((line) => line.close(close), "websocket"), action);
  });

  if (status) {
    test(`${name} as a problem: ${action}`, () => {
      const answer = problem(status, name, { retryable });
      const verdict = judgeAnswer(answer);
      assert.deepEqual([verdict.action, verdict.error.code, verdict.error.status], [action, name, status]);
      assert.equal(actionAfter(refuse(answer), "sse"), action);
    });
  }

  if (action === "new_token") {
    test(`${name} without a way to another token: give_up`, () => {
      const line = new Line("sse");
      line.refuse(problem(401, name, { retryable }));
      assert.deepEqual([line.state, line.error.kind, line.error.code], ["gave_up", "unauthorized", name]);
    });
  }
}

for (const { code, after_end: isAfterEnd, action } of websocket) {
  test(`a close with ${code}${isAfterEnd ? " after the end" : ""}: ${action}`, () => {
    if (!isAfterEnd) {
      assert.equal(judgeClose(code).action, action);
      assert.equal(actionAfter((line) => line.close(code), "websocket"), action);
      return;
    }
    const line = new Line("websocket");
    line.open(welcome(0), end(0));
    // Nobody listens to the connection any more.
    assert.deepEqual([action, line.state, line.follower.link], ["done", "ended", null]);
  });
}

for (const { status, problem: isProblem, code, retryable, action } of http) {
  const answer = isProblem ? problem(status, code, { retryable }) : stranger(status);
  test(`${status} ${isProblem ? `with ${code}, retryable ${retryable}` : "of somebody else"}: ${action}`, () => {
    assert.equal(judgeAnswer(answer).action, action);
    assert.equal(actionAfter(refuse(answer), "sse"), action);
  });
}

for (const retryable of [true, false, null, 1, "true", undefined]) {
  test(`a code that is not known is judged by retryable alone, here ${JSON.stringify(retryable)}`, () => {
    const action = retryable === true ? "come_back" : "give_up";
    for (const code of ["of_later", "constructor", "__proto__", "toString"]) {
      for (const verdict of [judgeFrame(error(code, { retryable })), judgeAnswer(problem(418, code, { retryable }))]) {
        assert.deepEqual([verdict.action, verdict.error.kind, verdict.error.code], [action, "server", code]);
        assert.equal(verdict.error.retryable, retryable === true);
      }
    }
  });
}

for (const code of [4402, 4411, 4499]) {
  test(`${code} is not known, and says not to come back`, () => {
    const { action, error: said } = judgeClose(code);
    assert.deepEqual([action, said.kind, said.retryable, said.code], ["give_up", "protocol", false, null]);
    assert.match(said.message, new RegExp(code));
  });
}

for (const code of [undefined, 0, 1000, 1006, 3999, 4103, 4399, 4500, 65_535]) {
  test(`a close with ${code} is a cut`, () => {
    const { action, error: said } = judgeClose(code);
    assert.deepEqual([action, said.kind, said.retryable, said.code], ["come_back", "network", true, null]);
  });
}

test("a reconnect is drawn for this client alone", () => {
  const { action, floorMs, isDrawn, error: said } = judgeFrame(reconnect(2.5));
  assert.deepEqual([action, floorMs, isDrawn, said.retryable, said.code], ["come_back", 2500, true, true, "going_away"]);
  assert.ok(!judgeFrame(error("internal", { retryable: true, retry_after: 2.5 })).isDrawn);
});

for (const [said, floorMs] of [[2, 2000], [0.5, 500], [0, 0], [-1, 0], [null, 0], ["soon", 0], [{}, 0], [1e300, 1e303]]) {
  test(`a retry_after of ${JSON.stringify(said)} is a floor of ${floorMs} ms, whoever says it`, () => {
    assert.equal(judgeFrame(error("internal", { retry_after: said })).floorMs, floorMs);
    assert.equal(judgeAnswer(problem(503, "internal", { retry_after: said })).floorMs, floorMs);
    assert.equal(judgeAnswer(stranger(503, { retryAfter: said })).floorMs, floorMs);
  });
}

test("the header counts where no problem says better, and a date in it is none", () => {
  assert.equal(judgeAnswer(stranger(503, { retryAfter: "7" })).floorMs, 7000);
  assert.equal(judgeAnswer({ ...problem(503, "internal"), retryAfter: "7" }).floorMs, 7000);
  assert.equal(judgeAnswer({ ...problem(503, "internal", { retry_after: 2 }), retryAfter: "7" }).floorMs, 2000);
  assert.equal(judgeAnswer(stranger(503, { retryAfter: "Mon, 23 Nov 2026 05:18:37 GMT" })).floorMs, 0);
});

for (const status of [408, 425, 429, 500, 502, 503, 504, 521, 599]) {
  test(`${status} passes`, () => assert.ok(isPassing(status)));
}

for (const status of [200, 204, 302, 400, 401, 403, 404, 410, 418, 421, 450]) {
  test(`${status} does not pass by itself`, () => assert.ok(!isPassing(status)));
}

for (const [status, kind] of [
  [200, "protocol"], [302, "protocol"], [401, "unauthorized"], [403, "forbidden"], [404, "unknown_session"], [429, "overloaded"],
  [500, "server"], [502, "server"],
]) {
  test(`${status} of somebody else is of kind ${kind}, in a sentence that names both`, () => {
    const { error: said } = judgeAnswer(stranger(status));
    assert.deepEqual([said.kind, said.status, said.code, said.retryable], [kind, status, null, true]);
    assert.match(said.message, new RegExp(`${status} \\(text/html\\)`));
  });
}

for (const body of [null, false, 7, "no", [], {}, { code: null }, { code: 7 }, { code: ["internal"] }]) {
  test(`a problem that is ${JSON.stringify(body)} is not the server's`, () => {
    const { action, error: said } = judgeAnswer(stranger(404, { problem: body, contentType: "application/problem+json" }));
    assert.deepEqual([action, said.code], ["come_back", null]);
  });
}

test("an error says the server's sentence, with its detail where there is one", () => {
  const sentence = (more) => judgeAnswer(problem(403, "forbidden", more)).error.message;
  assert.equal(sentence({ title: "Title.", detail: "Detail." }), "Detail.");
  assert.equal(sentence({ title: "Title." }), "Title.");
  assert.match(sentence({}), /403/);
});

test("how a session ended is told with what is gone", () => {
  const session = { status: "failed", ended_at: "2026-11-22T20:15:40.464Z" };
  assert.deepEqual(judgeFrame(error("session_gone", { gone: session })).error.session, session);
  assert.deepEqual(judgeAnswer(problem(410, "session_gone", { session })).error.session, session);
});

test("every verdict is an error of a kind that is documented, with a sentence", () => {
  const verdicts = [
    ...codes.flatMap(({ name, websocket: close }) => [judgeFrame(error(name)), judgeClose(close)]),
    ...codes.map(({ name }) => judgeAnswer(problem(400, name))),
    ...Array.from({ length: 500 }, (_, index) => judgeAnswer(stranger(100 + index))),
    ...Array.from({ length: 600 }, (_, index) => judgeClose(4000 + index)),
  ];
  for (const { error: said } of verdicts) {
    assert.ok(said instanceof Error && KINDS.includes(said.kind), said.kind);
    assert.ok(said.message);
  }
});
