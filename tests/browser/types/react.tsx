// The hook and the component.

import { AgentProgress, useProgressSession } from "agentprogress/react";
import type { Connection, SessionSnapshot } from "agentprogress";

interface Report {
  url: string;
}

export function Plain({ src }: { src: string | null }) {
  const { session, connection, cancel, answer, retryNow } = useProgressSession<Report>(src, {
    token: "secret",
    onEvent: (event) => event.type === "text.delta" && event.delta.length,
    onComplete: (ended) => ended.result?.url.length,
  });
  const known: SessionSnapshot<Report> | null = session;
  const state: Connection = connection;
  // @ts-expect-error nothing is known at first
  session.status;
  return (
    <button onClick={() => void cancel("enough").then(() => answer("r_1", true)).then(retryNow)}>
      {known?.result?.url} {state.reason}
    </button>
  );
}

export function Selecting({ src }: { src: string }) {
  const { session: done } = useProgressSession(src, { select: (session) => session?.progress ?? 0 });
  const { session: url } = useProgressSession(src, { select: (session: SessionSnapshot<Report> | null) => session?.result?.url });
  // @ts-expect-error it is what was selected, a number
  done.steps;
  return <progress value={done} title={url ?? ""} />;
}

export const panels = [
  <AgentProgress src={null} />,
  <AgentProgress src="/sessions/s_1" token={async () => "secret"} readOnly labels={{ cancel: "Abbrechen" }} className="wide" style={{ width: 360 }} />,
  <AgentProgress<Report> src="/sessions/s_1" onComplete={(session) => session.result?.url} />,
  // @ts-expect-error a component follows something, or null
  <AgentProgress />,
  // @ts-expect-error no such property
  <AgentProgress src={null} readonly />,
];

// @ts-expect-error a hook has a source
export const useNothing = () => useProgressSession();
