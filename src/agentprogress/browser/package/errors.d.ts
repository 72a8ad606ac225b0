// What can go wrong between a page and its server.

import type { ErrorInfo, SessionStatus } from "./events.js";

export type ErrorKind =
  | "network" | "timeout" | "unauthorized" | "forbidden" | "unknown_session" | "gone" | "overloaded" | "server" | "protocol";

/** Its `message` is a sentence for people. */
export class ProgressError extends Error {
  readonly kind: ErrorKind;
  /** Whether trying again can help. */
  readonly retryable: boolean;
  /** Of HTTP, or null. */
  readonly status: number | null;
  /** Of the WebSocket, or null. */
  readonly closeCode: number | null;
  /** The protocol's name for it, as `session_gone`; null where somebody else spoke. */
  readonly code: string | null;
  /** How the session ended, where the server said so. */
  readonly session: { readonly status: SessionStatus; readonly error?: ErrorInfo | null; readonly ended_at?: string | null } | null;
}
