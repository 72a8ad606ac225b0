// What the tests show: components that note what they are given. Options are written in place, as applications write them:
// each render has other functions and objects.

import { createElement as h, Fragment, StrictMode, useEffect } from "react";
import { AgentProgress, useProgressSession } from "agentprogress/react";

export const told = {}; // by the component's name

const PICKS = {
  title: (session) => session?.title ?? null,
  // Another array each time.
  lines: (session) => session?.logs.map(({ message }) => message) ?? [],
};

function notes(name) {
  return (told[name] ??= { renders: 0, shown: [], states: [], events: [], completed: [], asked: [], actions: new Set() });
}

function complete(mine, mark) {
  return (session) => mine.completed.push({ mark, id: session.session_id, status: session.status, result: session.result });
}

function Hook({ name, src, pick = "lines", mark, tokens, ...options }) {
  const mine = notes(name);
  mine.renders += 1;
  const { session, connection, ...actions } = useProgressSession(src, {
    ...options,
    ...(tokens && { token: () => tokens[Math.min(mine.asked.push(mark) - 1, tokens.length - 1)] }),
    select: (session) => PICKS[pick](session),
    onEvent: (event) => mine.events.push([mark, event.seq]),
    onComplete: complete(mine, mark),
  });
  useEffect(() => {
    Object.values(actions).forEach((action) => mine.actions.add(action));
    Object.assign(mine, actions);
    mine.shown.push(session);
    if (mine.states.at(-1) !== connection.state) mine.states.push(connection.state);
  });
  return h("p", { id: name, "data-state": connection.state, "data-transport": connection.transport, title: connection.reason }, JSON.stringify(session));
}

function Element({ name, labels, mark, ...props }) {
  return h(AgentProgress, { id: name, ...props, ...(labels && { labels: { ...labels } }), onComplete: complete(notes(name), mark) });
}

/** `hooks` and `elements` are lists of props. */
export function tree({ strict = true, hooks = [], elements = [] }) {
  const shown = [...hooks.map((props) => h(Hook, { key: props.name, ...props })), ...elements.map((props) => h(Element, { key: props.name, ...props }))];
  return h(strict ? StrictMode : Fragment, null, ...shown);
}
