// Starts a job and shows it twice: with the hook, drawn by the application itself, and with the element.

import { AgentProgress } from "agentprogress/react";
import { useState, type FormEvent } from "react";
import { JobCard } from "./JobCard";
import { keepJob, keptJob, startJob } from "./jobs";

export function App() {
  const [job, setJob] = useState(keptJob);
  const [problem, setProblem] = useState("");

  async function start(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const topic = String(new FormData(event.currentTarget).get("topic"));
    setProblem("");
    await startJob(topic).then(setJob, (error: Error) => setProblem(error.message));
  }

  return (
    <main>
      <header>
        <h1>Research desk</h1>
        <p>One job, followed twice. Reload the page, pull the network, open a second tab: nothing is lost.</p>
      </header>
      <form onSubmit={start}>
        <label htmlFor="topic">Topic</label>
        <input id="topic" name="topic" defaultValue="heat pumps" required />
        <button className="primary">Start a report</button>
      </form>
      {problem && <p role="alert">{problem}</p>}
      <div className="columns">
        <section aria-labelledby="by-hook">
          <h2 id="by-hook"><code>useProgressSession()</code></h2>
          <JobCard job={job} onClear={() => setJob(keepJob(null))} />
        </section>
        <section aria-labelledby="by-element">
          <h2 id="by-element"><code>{"<AgentProgress>"}</code></h2>
          <AgentProgress src={job?.url ?? null} token={job?.control_token ?? null} />
        </section>
      </div>
    </main>
  );
}
