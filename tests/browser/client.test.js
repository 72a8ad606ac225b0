// A whole client against a server of HTTP that says what each test needs: what only the two together can show.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import test from "node:test";

import { ProgressClient } from "../../src/agentprogress/browser/package/client.js";
import { ProgressError } from "../../src/agentprogress/browser/package/errors.js";
import { end, EPOCH, error, event, heartbeat, SESSION, snapshot, welcome } from "./connection-cases.js";

/** Answers with JSON, or whatever else `type` says. */
function reply(response, status, body, type = "application/json") {
  response.writeHead(status, { "Content-Type": type });
  response.end(type === "application/json" || /problem/.test(type) ? JSON.stringify(body) : body);
}

const refuse = (response, code) => reply(response, 401, { code, title: "Why.", retryable: true }, "application/problem+json");

/** Begins an event stream, which stays open. */
function stream(response, ...frames) {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  tell(response, ...frames);
}

function tell(response, ...frames) {
  response.write(frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join(""));
}

/** Serves `answer(route, request, response)`, and returns a function that makes clients of it. */
async function serving(context, answer) {
  const clients = [];
  const server = createServer((request, response) => {
    answer(new URL(request.url, "http://host").pathname.split("/").at(-1), request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    for (const client of clients) client.close();
    server.closeAllConnections();
    server.close();
  });
  return (options = {}) => {
    const src = `http://127.0.0.1:${server.address().port}/sessions/${SESSION}`;
    const client = new ProgressClient(src, { transport: "sse", ...options });
    clients.push(client);
    return client;
  };
}

/** Follows until what is to be seen is; resolves with the snapshot. */
const until = (client, isSeen) =>
  new Promise((resolve) => {
    const look = () => {
      const seen = client.getSnapshot();
      if (!isSeen(seen)) return;
      leave();
      resolve(seen);
    };
    const leave = client.subscribe(look);
    look();
  });

const isIn = (state) => ({ connection }) => connection.state === state;

test("fields of a later version change nothing, whatever they are called", async (context) => {
  const connect = await serving(context, (route, request, response) => {
    const later = { state: "calm", reset: true };
    const started = event(1, { type: "session.started", title: "Mine", attempt: 1 });
    stream(response, { ...welcome(2), ...later }, { ...started, ...later });
    tell(response, { ...heartbeat(1), ...later, status: "odd" }, { ...event(2), ...later }, { ...end(2), ...later });
  });
  const { session, status } = await until(connect(), isIn("ended"));
  assert.deepEqual([session.title, session.session_id, session.seq, status], ["Mine", SESSION, 2, "completed"]);
});

test("a snapshot is taken", async (context) => {
  const connect = await serving(context, (route, request, response) => stream(response, welcome(9, "snapshot"), snapshot(9)));
  const { session, cursor } = await until(connect(), isIn("live"));
  assert.deepEqual([session.seq, session.status, cursor], [9, "running", `${EPOCH}-9`]);
});

test("two who need another token at once get the same one", async (context) => {
  let made = 0;
  let following;
  const valid = () => `token ${made}`;
  const connect = await serving(context, (route, request, response) => {
    if (request.headers.authorization !== `Bearer ${valid()}`) refuse(response, "token_expired");
    else if (route === "events") stream((following = response), welcome(0));
    else reply(response, 202, { status: "running" });
  });
  // Each token voids the one before, as where tokens rotate.
  const client = connect({ token: async () => `token ${(made += 1)}` });
  client.subscribe(() => {});
  await until(client, isIn("live"));
  made += 1; // the one in use is void
  const asked = client.requestCancel();
  following.end(`data: ${JSON.stringify(error("token_expired", { retryable: true }))}\n\n`);
  await asked;
  await until(client, ({ connection }) => connection.state === "live" && connection.error === null);
  assert.equal(made, 3);
});

for (const [what, ask] of Object.entries({
  "a cancellation": (client) => client.requestCancel(),
  "an answer": (client) => client.answer("r1", true),
})) {
  test(`a sign-in page is no yes to ${what}`, async (context) => {
    const connect = await serving(context, (route, request, response) => reply(response, 200, "Sign in", "text/html"));
    await assert.rejects(ask(connect()), (thrown) => thrown instanceof ProgressError && thrown.status === 200);
  });
}

test("what is asked for goes out as JSON", async (context) => {
  const connect = await serving(context, async (route, request, response) => {
    const body = (await request.toArray()).join("");
    reply(response, 202, { route, method: request.method, type: request.headers["content-type"], body });
  });
  const asked = { route: "cancel", method: "POST", type: "application/json" };
  assert.deepEqual(await connect().requestCancel("enough"), { ...asked, body: '{"reason":"enough"}' });
  assert.deepEqual(await connect().requestCancel(), { ...asked, body: "{}" });
});

for (const [what, frames] of Object.entries({
  "a server of another version": [{ type: "welcome", protocol: 2 }],
  "what is malformed": [welcome(1), event(7)],
})) {
  test(`the connection to ${what} is closed at once, and that is told`, async (context) => {
    let closed;
    const connect = await serving(context, (route, request, response) => {
      closed = once(response, "close");
      stream(response, ...frames);
    });
    const client = connect({ maxAttempts: 1 });
    client.subscribe(() => {});
    const { connection } = await until(client, isIn("gave_up"));
    assert.equal(connection.error.kind, "protocol");
    await closed;
  });
}

for (const transport of ["ws", "", "constructor", "__proto__"]) {
  test(`a transport "${transport}" is refused in a sentence`, () => {
    const make = () => new ProgressClient("http://host/sessions/one", { transport });
    assert.throws(make, { name: "ProgressError", kind: "protocol", message: /transport/ });
  });
}

test("a page that comes to make tokens later can renew them", async (context) => {
  let following;
  const connect = await serving(context, (route, request, response) => {
    if (request.headers.authorization) return stream(response, welcome(0, "exact"));
    stream((following = response), welcome(0));
  });
  const options = { transport: "sse", token: null };
  const { url } = connect();
  const client = new ProgressClient(url, options);
  context.after(() => client.close());
  client.subscribe(() => {});
  await until(client, isIn("live"));
  options.token = () => "made";
  following.end(`data: ${JSON.stringify(error("token_expired", { retryable: true }))}\n\n`);
  await until(client, isIn("reconnecting"));
  await until(client, isIn("live"));
});

test("a token that is long in coming costs no transport, and one that never comes is asked for again", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const asked = [];
  const token = () => new Promise(() => asked.push(Date.now()));
  const client = new ProgressClient("http://127.0.0.1:1/sessions/one", { token });
  context.after(() => client.close());
  client.subscribe(() => {});
  const wait = async (seconds) => {
    for (let second = 0; second < seconds; second += 1) {
      context.mock.timers.tick(1000);
      await new Promise(setImmediate);
    }
    return client.getSnapshot().connection;
  };
  assert.deepEqual([(await wait(29)).state, asked.length], ["connecting", 1]);
  const { state, transport, error: why } = await wait(2);
  assert.deepEqual([state, transport, why.kind], ["reconnecting", "websocket", "unauthorized"]);
  await wait(10);
  assert.equal(asked.length, 2);
});

test("a token that has come leaves no timer behind", async (context) => {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const left = new Set();
  context.mock.method(globalThis, "setTimeout", (...call) => {
    const timer = set(...call);
    if (call[1] >= 30_000) left.add(timer);
    return timer;
  });
  context.mock.method(globalThis, "clearTimeout", (timer) => {
    left.delete(timer);
    clear(timer);
  });
  const connect = await serving(context, (_, __, response) => stream(response, welcome(9, "snapshot"), snapshot(9)));
  const client = connect({ token: async () => "made" });
  await until(client, isIn("live"));
  client.close();
  assert.equal(left.size, 0);
});

test("who asks for a result and closes is not left waiting", async (context) => {
  let polls = 0;
  const connect = await serving(context, (route, request, response) => {
    polls += 1;
    reply(response, 202, { status: "running" });
    client.close();
  });
  const client = connect();
  await assert.rejects(client.result(), ProgressError);
  assert.equal(polls, 1);
});

test("a session that ends is told whole, also to who does something while its events are told", async (context) => {
  const connect = await serving(context, (route, request, response) => {
    const last = { type: "session.completed", result: 7 };
    reply(response, 200, { frames: [welcome(2), event(1), event(2, last), end(2)], cursor: "", done: true });
  });
  const told = [];
  const client = connect({
    transport: "long-poll",
    onEvent: ({ seq }) => {
      told.push(seq);
      client.retryNow();
    },
    onComplete: ({ status, result }) => told.push(status, result),
  });
  await until(client, isIn("ended"));
  await new Promise(setImmediate);
  assert.deepEqual(told, [1, 2, "completed", 7]);
});

test("nothing is told after closing, not even the rest of a message", async (context) => {
  const connect = await serving(context, (route, request, response) => stream(response, welcome(2), event(1), event(2), end(2)));
  const told = [];
  await new Promise((resolve) => {
    const client = connect({
      onEvent: ({ seq }) => {
        told.push(seq);
        client.close();
        resolve();
      },
      onComplete: () => told.push("complete"),
    });
    client.subscribe(() => {});
  });
  await new Promise(setImmediate);
  assert.deepEqual(told, [1]);
});
