// A job as this application wants to show it: the hook gives the state, everything to be seen is made here.

import { useProgressSession } from "agentprogress/react";
import { useState } from "react";
import type { Job, Report } from "./jobs";

const ENDED = ["completed", "failed", "cancelled", "lost"];

export function JobCard({ job, onClear }: { job: Job | null; onClear: () => void }) {
  const [problem, setProblem] = useState("");
  const { session, connection, cancel, answer, retryNow } = useProgressSession<Report>(job?.url ?? null, {
    token: job?.control_token ?? null,
    onComplete: ({ status }) => (document.title = `Research desk: ${status}`),
  });
  if (!job) return <p className="card quiet">Nothing runs. Start a report.</p>;

  const tell = (error: Error) => setProblem(error.message);
  const status = session?.status ?? "unknown";
  const isEnded = ENDED.includes(status);
  const gaveUp = connection.state === "gave_up";
  const active = session?.steps.findLast((step) => step.status === "running");
  const percent = Math.floor((session?.progress ?? 0) * 100);
  return (
    <article className="card" data-status={status} data-connection={connection.state}>
      <header>
        <h3>{session?.title ?? "…"}</h3>
        <span className="badge">{session?.cancel_requested && !isEnded ? "stopping" : status}</span>
      </header>
      <progress max={100} value={percent} aria-label="Progress" />
      <p className="now" role="status">
        <span>{active ? active.name : isEnded ? "Nothing left to do" : "Waiting for the first step"}</span>
        <span className="figure">{percent} %</span>
      </p>
      {session?.requests.map(({ request_id, prompt }) => (
        <fieldset key={request_id}>
          <legend>{prompt}</legend>
          <button className="primary" onClick={() => answer(request_id, "publish").catch(tell)}>Publish</button>
          <button onClick={() => answer(request_id, "discard").catch(tell)}>Discard</button>
        </fieldset>
      ))}
      {session?.result && (
        <p className="result">
          {session.result.words} words on {session.result.topic}, {session.result.published ? "published" : "discarded"}
        </p>
      )}
      {session?.error && <p role="alert">{session.error.message}</p>}
      {problem && <p role="alert">{problem}</p>}
      <footer>
        <span className="connection">{connection.reason ?? connection.state}</span>
        {(gaveUp || connection.state === "reconnecting") && <button onClick={retryNow}>Retry now</button>}
        {isEnded || gaveUp ? (
          <button onClick={onClear}>Clear</button>
        ) : (
          <button disabled={!session || session.cancel_requested} onClick={() => cancel("stopped on the page").catch(tell)}>Cancel</button>
        )}
      </footer>
    </article>
  );
}
