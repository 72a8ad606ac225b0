// React 18 and later: a session as state, and the element as a component. Rendering has no effect: the client that a render
// makes connects with its first subscriber, so that one which is thrown away (strict mode, suspense) has cost nothing.

"use client";

import { createElement, useEffect, useInsertionEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { ProgressClient } from "./client.js";
import "./define.js";

const IDLE = { state: "idle", reason: null, error: null, retryAtMs: null, transport: "websocket", offline: false };

export function useProgressSession(src, { token, transport, credentials, select, onEvent, onComplete } = {}) {
  // What the last render that counted was given; nothing once the component is gone.
  const latest = useRef({});
  const [client, subscribe, still] = useMemo(() => {
    const ask = (name, value) => (typeof latest.current[name] === "function" ? latest.current[name](value) : latest.current[name]);
    const asked = { token: () => ask("token"), onEvent: (event) => ask("onEvent", event), onComplete: (end) => ask("onComplete", end) };
    let client, connection = IDLE;
    try {
      if (src) client = new ProgressClient(src, { transport, credentials, ...asked });
    } catch (error) {
      connection = { ...IDLE, state: "gave_up", reason: error.message, error };
    }
    return [client, (listener) => client?.subscribe(listener) ?? (() => {}), { session: null, connection }];
  }, [src, transport, credentials]);
  // Before all other effects, which may call what is set here; and strict mode does not run these twice.
  useInsertionEffect(() => {
    latest.current = { client, token, onEvent, onComplete };
    return () => (latest.current = {});
  });
  useInsertionEffect(() => () => client?.close(), [client]);
  const pick = useMemo(() => once(select), [select]);
  const read = () => client?.getSnapshot() ?? still;
  const session = useSyncExternalStore(subscribe, () => pick(read().session), () => pick(null));
  const connection = useSyncExternalStore(subscribe, () => read().connection, () => IDLE);
  const [actions] = useState(() => ({
    cancel: async (reason) => latest.current.client?.requestCancel(reason),
    answer: async (requestId, value) => latest.current.client?.answer(requestId, value),
    retryNow: () => latest.current.client?.retryNow(),
  }));
  // Functions are asked again when a token is refused; that a string has taken the place of a refused one must be told.
  useEffect(() => void (typeof token === "string" && actions.retryNow()), [token]);
  return { session, connection, ...actions };
}
/** Selects anew only from another session: React must be given the same for the same. */
function once(select = (session) => session) {
  let from, selected;
  return (session) => {
    if (session !== from) selected = select(session);
    from = session;
    return selected;
  };
}
export function AgentProgress({ token = null, labels = {}, readOnly, onComplete, className, ...attributes }) {
}
