// A job is known by what the backend gives for it, kept for as long as the tab is open: so a reload finds it again.

export interface Job {
  readonly session_id: string;
  readonly url: string;
  readonly control_token: string;
}

export interface Report {
  readonly topic: string;
  readonly words: number;
  readonly published: boolean;
}

const KEY = "job";

export async function startJob(topic: string): Promise<Job> {
  const response = await fetch(`/jobs?topic=${encodeURIComponent(topic)}`, { method: "POST" });
  if (!response.ok) throw new Error(`The backend answered ${response.status}.`);
  return keepJob((await response.json()) as Job);
}

export function keepJob<Kept extends Job | null>(job: Kept): Kept {
  sessionStorage.setItem(KEY, JSON.stringify(job));
  return job;
}

export function keptJob(): Job | null {
  return JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Job | null;
}
