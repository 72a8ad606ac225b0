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

/** A function that gives one token after the other, where there are some. */
function tokenOf(mine, tokens) {
  return tokens && { token: () => tokens[Math.min(mine.asked.push(1), tokens.length) - 1] };
}

function Hook({ name, src, pick = "lines", mark, tokens, ...options }) {
  const mine = notes(name);
  mine.renders += 1;
  const { session, connection, ...actions } = useProgressSession(src, {
    ...options,
    ...tokenOf(mine, tokens),
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
  const { state, transport, reason } = connection;
  return h("p", { id: name, "data-state": state, "data-transport": transport, title: reason }, JSON.stringify(session));
}

function Element({ name, labels, mark, tokens, ...props }) {
  const mine = notes(name);
  const written = { ...tokenOf(mine, tokens), ...(labels && { labels: { ...labels } }), onComplete: complete(mine, mark) };
  return h(AgentProgress, { id: name, ...props, ...written });
}

/** `hooks` and `elements` are lists of props. */
export function tree({ strict = true, hooks = [], elements = [] }) {
  const all = (component, list) => list.map((props) => h(component, { key: props.name, ...props }));
  return h(strict ? StrictMode : Fragment, null, all(Hook, hooks), all(Element, elements));
}
