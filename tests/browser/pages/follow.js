// Follows what its query says, and keeps what it is told where a test can read it.

import { ProgressClient } from "./client/index.js";

const { src, transport, maxAttempts, credentials, token, tokens, random, idle, throws } = JSON.parse(
  decodeURIComponent(location.search.slice(1)),
);
// With 0 delays are as short as may be: how they are drawn is proven elsewhere.
if (random !== undefined) Math.random = () => random;

const told = (window.told = {
  events: [], // each with the state of the connection when it came
  connections: [], // each that was another one than before, with its time
  epochs: [],
  completed: [],
  tokensAsked: 0,
  calls: 0,
  get cargoes() {
    return told.events.filter(({ type }) => type === "custom.emitted").length;
  },
  get state() {
    return client.getSnapshot().connection.state;
  },
  get retryAtMs() {
    return client.getSnapshot().connection.retryAtMs;
  },
  get session() {
    return client.getSnapshot().session;
  },
});

function nextToken() {
  const next = tokens[Math.min(told.tokensAsked, tokens.length - 1)];
  told.tokensAsked += 1;
  if (next === null) throw new Error("no token yet");
  return next;
}

function mayThrow(name) {
  if (throws === name) throw new Error(name);
}

const client = (window.client = new ProgressClient(src, {
  transport,
  maxAttempts,
  credentials,
  token: tokens ? nextToken : token,
  onEvent: (event) => {
    told.events.push(event);
    mayThrow("onEvent");
  },
  onComplete: (session) => {
    told.completed.push(session);
    mayThrow("onComplete");
  },
}));

let last;
window.look = () => {
  const { connection, session } = client.getSnapshot();
  told.calls += 1;
  if (connection !== last) told.connections.push({ ...connection, atMs: Date.now() });
  last = connection;
  if (session && session.epoch !== told.epochs.at(-1)) told.epochs.push(session.epoch);
};
look();
if (!idle) window.leave = client.subscribe(look);
