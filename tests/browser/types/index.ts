// The client: what it takes, gives and throws.

import { emptyState, Fold, fold, LIMITS, ProgressClient, ProgressError, websocketUrl } from "agentprogress";
import type { ClientSnapshot, Connection, ConnectionState, ErrorKind, SessionSnapshot, Token } from "agentprogress";

interface Report {
  url: string;
}

const client = new ProgressClient<Report>("/sessions/s_1", {
  token: async () => "secret",
  transport: "sse",
  maxAttempts: 3,
  onEvent: (event) => console.log(event.seq, event.type),
  onComplete: (session) => session.result?.url.length,
});
new ProgressClient(new URL("https://app.example/sessions/s_1"), { token: null, credentials: "include" });
const leave: () => void = client.subscribe(() => {});
leave();
const snapshot: ClientSnapshot<Report> = client.getSnapshot();
export const session: SessionSnapshot<Report> | null = snapshot.session;
const connection: Connection = snapshot.connection;
const state: ConnectionState = connection.state;
if (state === "reconnecting" && connection.retryAtMs !== null) connection.retryAtMs.toFixed();
client.retryNow();
client.close();

export async function asked(): Promise<Report | null> {
  const { status } = await client.requestCancel("enough");
  status.toUpperCase();
  await client.answer("r_1", { approved: true });
  try {
    return await client.result();
  } catch (error) {
    if (!(error instanceof ProgressError)) throw error;
    const kind: ErrorKind = error.kind;
    return error.retryable || kind === "network" ? null : { url: `${error.code} ${error.session?.error?.message}` };
  }
}

// @ts-expect-error a client follows something
new ProgressClient();
// @ts-expect-error no transport of ours
new ProgressClient("", { transport: "carrier-pigeon" });
// @ts-expect-error milliseconds are not asked for, and there is no such option
new ProgressClient("", { timeout: 5 });
// @ts-expect-error a token is a text, or makes one
export const token: Token = 7;
// @ts-expect-error `offline` is no state of a connection
export const never = state === "offline";
// @ts-expect-error what a client tells is not changed by others
snapshot.connection.state = "live";
// @ts-expect-error its members are private
client.follower;

const grown = new Fold(emptyState("s_1", "AAAAAAAAAA"), { max_logs: LIMITS.max_logs * 2, detail: true });
export const folded: SessionSnapshot = fold(grown.state, {
  type: "log.message", seq: 1, time: "2026-11-22T20:15:40.464Z", level: "info", message: "read",
});
// @ts-expect-error an event has a seq
fold(grown.state, { type: "session.resumed", time: "" });
// @ts-expect-error not a bound
new Fold(grown.state, { max_lines: 3 });

export const url: string = websocketUrl("sessions/s_1", "https://app.example/");
