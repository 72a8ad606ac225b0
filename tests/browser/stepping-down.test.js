// Which transport a client takes when the better one does not work here. A page cannot see why a handshake failed.

import assert from "node:assert/strict";
import test from "node:test";

import {
  end, EPOCH, error, event, Line, NOBODY, problem, reconnect, snapshot, stranger, TRANSPORTS, welcome,
} from "./connection-cases.js";

const MOST = 3;
const RETRY_MS = 15 * 60_000;

/** A follower that has come down so far: what is above never worked. */
function at(transport, options) {
  const line = new Line(options);
  if (transport !== "websocket") line.fail();
  if (transport === "long-poll") {
    line.open();
    line.waitInVain();
  }
  assert.equal(line.follower.transport, transport);
  return line;
}

function cutShort(line, isWelcome = true) {
  const resume = line.follower.cursor ? "exact" : "fresh";
  line.open(...(isWelcome ? [welcome(9, resume, EPOCH, { retry_window: 0.2 })] : []));
  line.nowMs += 500;
  line.close();
}

// What never worked

test("a handshake that fails leads to an event stream at once, and costs no attempt", () => {
  const line = new Line({ maxAttempts: 1 });
  line.dial();
  line.follower.closed(line.nowMs, 1006);
  assert.deepEqual([line.state, line.error, line.follower.retryAtMs, line.follower.link], ["connecting", null, null, null]);
  assert.equal(line.follower.next(line.nowMs).transport, "sse");
});

test("what refuses the event stream as well is then told by its answer", () => {
  const line = new Line();
  line.fail();
  line.refuse(problem(404, "session_unknown"));
  assert.deepEqual([line.state, line.error.code], ["gave_up", "session_unknown"]);
});

test("a handshake that nobody answers leads to an event stream", () => {
  const line = new Line();
  line.dial();
  line.waitInVain();
  assert.deepEqual([line.state, line.follower.next(line.nowMs).transport], ["connecting", "sse"]);
});

for (const [index, transport] of ["websocket", "sse"].entries()) {
  test(`${transport} that opens and brings no welcome leads on at once`, () => {
    const line = at(transport);
    line.open();
    line.waitInVain();
    assert.equal(line.follower.next(line.nowMs).transport, TRANSPORTS[index + 1]);
  });
}

test("an event stream whose very head is held back leads to pages at once", () => {
  const line = at("sse");
  line.dial();
  line.waitInVain();
  assert.equal(line.follower.next(line.nowMs).transport, "long-poll");
});

for (const isWelcome of [true, false]) {
  test(`three short connections in a row ${isWelcome ? "with" : "without"} a welcome lead to the next transport`, () => {
    const line = new Line();
    for (const transport of TRANSPORTS) {
      for (let round = 0; round < MOST; round += 1) {
        assert.equal(line.follower.transport, transport);
        if (transport !== "long-poll") cutShort(line, isWelcome);
      }
    }
    assert.equal(line.dial().transport, "long-poll");
  });
}

// What has worked

test("one refused handshake after hours of good ones changes no transport, but three in a row do", () => {
  const line = new Line();
  line.follow(1);
  line.nowMs += 7_200_000;
  line.close();
  for (let round = 0; round < MOST; round += 1) {
    assert.equal(line.dial().transport, "websocket");
    line.follower.closed(line.nowMs, 1006);
    assert.deepEqual([line.state, line.error.kind], ["reconnecting", "network"]);
  }
  assert.equal(line.dial().transport, "sse");
});

for (const isOpen of [false, true]) {
  test(`nor does silence change it at once, where ${isOpen ? "no welcome comes" : "nobody answers the handshake"}`, () => {
    const line = new Line();
    line.follow(1);
    line.nowMs += 5000;
    line.close();
    line.dial();
    if (isOpen) line.follower.opened(line.nowMs);
    line.waitInVain();
    assert.deepEqual([line.state, line.error.kind, line.dial().transport], ["reconnecting", "timeout", "websocket"]);
  });
}

test("one that lasts begins the count anew", () => {
  const line = new Line();
  for (let round = 0; round < 3; round += 1) {
    cutShort(line);
    cutShort(line);
    line.open(welcome(9, "exact"));
    line.nowMs += 2000;
    line.close();
  }
  assert.equal(line.follower.transport, "websocket");
});

for (const frame of [reconnect(0), error("internal", { retryable: true })]) {
  test(`a server that says ${frame.type} is not cutting short, and makes good what was`, () => {
    const line = new Line();
    for (let round = 0; round < 3 * MOST; round += 1) {
      if (round % MOST) cutShort(line);
      else line.open(welcome(0, round ? "exact" : "fresh"), frame);
    }
    assert.equal(line.follower.transport, "websocket");
  });
}

test("one that falls silent after its welcome is no reason", () => {
  const line = new Line();
  line.follow(1);
  for (let round = 0; round < 2 * MOST; round += 1) {
    line.waitInVain();
    line.open(welcome(1, "exact"));
  }
  assert.equal(line.follower.transport, "websocket");
});

test("stepping down keeps the cursor", () => {
  const line = new Line();
  line.open(welcome(3, "snapshot"), snapshot(2), event(3));
  line.close();
  cutShort(line);
  cutShort(line);
  const { transport, cursor } = line.dial();
  assert.deepEqual({ transport, cursor }, { transport: "sse", cursor: `${EPOCH}-3` });
});

// A server that is away

test("where nobody answers the next one either, the best one is tried again", () => {
  const line = new Line();
  for (let round = 0; round < 5; round += 1) {
    assert.equal(line.dial().transport, "websocket");
    line.follower.closed(line.nowMs, 1006);
    assert.equal(line.dial().transport, "sse");
    line.follower.unreachable(line.nowMs, NOBODY);
    assert.equal(line.state, "reconnecting");
  }
  assert.equal(line.dial().transport, "websocket");
});

for (const status of [408, 425, 429, 500, 502, 503, 504]) {
  for (const transport of ["sse", "long-poll"]) {
    test(`${status} to ${transport} says nothing against the best one`, () => {
      const line = at(transport);
      line.refuse(stranger(status));
      assert.equal(line.dial().transport, "websocket");
    });
  }
}

test("a problem that speaks of the moment does not either", () => {
  const line = at("sse");
  line.refuse(problem(503, "draining", { retryable: true }));
  assert.equal(line.dial().transport, "websocket");
});

test("but strangers who answer the event stream are asked on by it", () => {
  const line = at("sse");
  line.refuse(stranger(404));
  assert.equal(line.dial().transport, "sse");
});

for (const transport of ["sse", "long-poll"]) {
  test(`${transport} that has worked is kept while the server is away`, () => {
    const line = at(transport);
    line.follow(1);
    if (transport === "sse") line.close();
    line.fail();
    line.refuse(stranger(503));
    assert.equal(line.dial().transport, transport);
  });
}

test("a restart behind a proxy that resets does not lead to pages for ever", () => {
  const line = new Line();
  line.follow(1);
  line.nowMs += 100_000;
  line.close();
  for (let round = 0; round < 8; round += 1) line.fail();
  line.open(welcome(1, "exact"));
  line.nowMs += 3_600_000;
  line.close();
  assert.equal(line.dial().transport, "websocket");
});

// Afterwards

for (const transport of ["sse", "long-poll"]) {
  test(`after 15 minutes of ${transport} the best one is tried with the next connection, and not before`, () => {
    const line = at(transport);
    const leftMs = line.nowMs;
    line.follow(1);
    for (const [sinceMs, expected] of [[RETRY_MS - 1000, transport], [RETRY_MS + 1, "websocket"]]) {
      line.nowMs = leftMs + sinceMs;
      if (transport === "sse") line.close();
      assert.equal(line.dial().transport, expected);
      if (expected === "websocket") break;
      line.follower.opened(line.nowMs);
      line.send(welcome(1, "exact"));
    }
    assert.equal(line.follower.link.cursor, `${EPOCH}-1`);
  });
}

test("what still does not work then is left at once again, for as long", () => {
  const line = at("sse");
  line.follow(1);
  for (let round = 0; round < 3; round += 1) {
    line.nowMs += RETRY_MS + 1;
    line.close();
    assert.equal(line.dial().transport, "websocket");
    line.follower.closed(line.nowMs, 1006);
    line.open(welcome(1, "exact"));
    assert.deepEqual([line.follower.transport, line.state], ["sse", "live"]);
    line.nowMs += 5000;
    line.close();
    assert.equal(line.dial().transport, "sse");
    line.follower.opened(line.nowMs);
    line.send(welcome(1, "exact"));
  }
});

test("and what works is kept", () => {
  const line = at("sse");
  line.follow(1);
  line.nowMs += RETRY_MS + 1;
  line.close();
  line.open(welcome(1, "exact"));
  line.nowMs += 60_000;
  line.close();
  line.fail();
  assert.equal(line.dial().transport, "websocket");
});

for (const [how, back] of Object.entries({
  "after 15 minutes": (line) => { line.nowMs += RETRY_MS + 1; },
  "because nobody answers": (line) => line.fail(),
})) {
  test(`whoever returns to the best one ${how} has its three short connections`, () => {
    const line = at("long-poll");
    for (let round = 0; round < 2 * MOST; round += 1) cutBroken(line);
    back(line);
    for (let round = 0; round < MOST; round += 1) {
      assert.equal(line.dial().transport, "websocket");
      line.follower.opened(line.nowMs);
      line.send(welcome(9, line.follower.cursor ? "exact" : "fresh"));
      line.close();
    }
    assert.equal(line.dial().transport, "sse");
  });
}

/** A page that breaks off. */
function cutBroken(line) {
  line.open();
  line.follower.cut(line.nowMs, NOBODY);
}

// A transport that was named

for (const transport of TRANSPORTS) {
  test(`${transport} that was named is never left`, () => {
    const line = new Line(transport);
    for (let round = 0; round < 2 * MOST; round += 1) {
      line.open();
      line.close();
      line.open();
      line.waitInVain();
      line.dial();
      line.waitInVain();
      line.fail();
      line.refuse(stranger(503));
      line.nowMs += RETRY_MS;
      assert.equal(line.follower.transport, transport);
    }
    line.open(welcome(0), end(0));
    assert.deepEqual([line.state, line.follower.transport], ["ended", transport]);
  });
}
