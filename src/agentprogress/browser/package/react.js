// React 18 and later: a session as state, and the element as a component. Rendering has no effect: the client that a render
// makes connects with its first subscriber, so that one which is thrown away (strict mode, suspense) has cost nothing.

"use client";

import { createElement, useEffect, useInsertionEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { ProgressClient } from "./client.js";
import "./define.js";

const IDLE = { state: "idle", reason: null, error: null, retryAtMs: null, transport: "websocket", offline: false };

export function useProgressSession(src, { token, transport, credentials, select, onEvent, onComplete } = {}) {
  const made = useMemo(() => open(src, { token, transport, credentials }), [src, transport, credentials]);
  const { client, options, subscribe, read } = made;
  const current = useRef();
  // Insertion effects come before all that may call what they set, and strict mode does not run them twice.
  useInsertionEffect(() => {
    current.current = client;
    // A client looks up its options when it needs them.
    Object.assign(options, { token, onEvent, onComplete });
  });
  useInsertionEffect(() => () => client?.close(), [client]);
  const pick = useMemo(() => once(select), [select]);
  const session = useSyncExternalStore(subscribe, () => pick(read().session), () => pick(null));
  const connection = useSyncExternalStore(subscribe, () => read().connection, () => IDLE);
  const [actions] = useState(() => ({
    cancel: async (reason) => current.current?.requestCancel(reason),
    answer: async (requestId, value) => current.current?.answer(requestId, value),
    retryNow: () => current.current?.retryNow(),
  }));
  // A function is asked again when its token is refused; that something else has taken the place of a refused one must be told.
  useEffect(actions.retryNow, [typeof token === "function" || token]);
  return { session, connection, ...actions };
}

function open(src, options) {
  let client, connection = IDLE;
  try {
    if (src) client = new ProgressClient(src, options);
  } catch (error) {
    connection = { ...IDLE, state: "gave_up", reason: error.message, error };
  }
  const subscribe = (listener) => client?.subscribe(listener) ?? (() => {});
  const still = { session: null, connection };
  return { client, options, subscribe, read: () => client?.getSnapshot() ?? still };
}

/** Selects anew only from another session: for the same, React must be given the same. */
function once(select = (session) => session) {
  let from, selected;
  return (session) => {
    if (session !== from) selected = select(session);
    from = session;
    return selected;
  };
}

/** An element that a server has rendered may be done before its component listens; it is not while a large result is fetched. */
function endOf({ session, connection }) {
  return connection.state === "ended" && (session.result !== null || !session.result_bytes) && session;
}

export function AgentProgress({ token = null, labels = {}, readOnly, onComplete, className, ...attributes }) {
  const [listener] = useState(() => ({
    handleEvent({ detail }) {
      if (detail.epoch !== this.epoch) this.onComplete?.(detail);
      this.epoch = detail.epoch;
    },
  }));
  const ref = (element) => {
    if (!element) return;
    listener.onComplete = onComplete;
    element.addEventListener("complete", listener);
    element.token = token;
    // Labels that are written in place are another object each time.
    if (JSON.stringify(element.labels) !== JSON.stringify(labels)) element.labels = labels;
    let ended;
    try {
      ended = endOf(element.client.getSnapshot());
    } catch {} // there is no client, as the element says
    if (ended) listener.handleEvent({ detail: ended });
  };
  // Attributes, which a server can render. React 18 gives custom elements no `className`, and would write `readonly="false"`.
  return createElement("agent-progress", { ...attributes, readonly: readOnly || undefined, class: className, ref });
}
