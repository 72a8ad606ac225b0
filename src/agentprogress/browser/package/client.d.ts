// Following one session from a page: what it is, how the connection stands, and what may be asked of it.

import type { SessionEvent, SessionSnapshot, SessionStatus } from "./events.js";
import type { ProgressError } from "./errors.js";

/** How a client stands with the server, apart from the session's own status. `idle` means that nobody is subscribed. */
export type ConnectionState = "idle" | "connecting" | "replaying" | "live" | "reconnecting" | "ended" | "gave_up";

/** How frames come. */
export type Transport = "websocket" | "sse" | "long-poll";

/** Replaced, never changed: an equal object means that nothing is new. */
export interface Connection {
  readonly state: ConnectionState;
  /** Why it is not connected, or gave up, in a sentence for people; null while all is well. */
  readonly reason: string | null;
  /** The same with its kind and code. */
  readonly error: ProgressError | null;
  /** When the next attempt is made, in milliseconds of `Date.now()`; null unless one is waited for. */
  readonly retryAtMs: number | null;
  readonly transport: Transport;
  /** True while the browser says that it has no network. It may be wrong: the client goes on trying. */
  readonly offline: boolean;
}

/** Whether somebody is at work on the session, as the last heartbeat said. */
export type ProducerState = "alive" | "stalled" | "waiting" | (string & {});

/** All that a page shows. Replaced, never changed; what has not changed in it stays the same object. */
export interface ClientSnapshot<Result = unknown> {
  /** Null until the server has said what the session is. */
  readonly session: SessionSnapshot<Result> | null;
  /** The session's status. While events are replayed it is already the present one, where `session.status` is still behind. */
  readonly status: SessionStatus | null;
  readonly connection: Connection;
  readonly producer: ProducerState | null;
  /** Add it to `Date.now()` to get the server's time, in milliseconds. */
  readonly clockOffsetMs: number;
  /** What to come back with: all up to here is known. Null before anything is. */
  readonly cursor: string | null;
}

/** A bearer token, or what makes one; it is asked again when the server has refused the last one. */
export type Token = string | (() => string | Promise<string>) | null;

export interface ClientOptions<Result = unknown> {
  /** Sent as `Authorization: Bearer`, and to WebSockets as a subprotocol; never in a URL. */
  token?: Token;
  /** `auto`, the default, tries WebSocket, then server-sent events, then long polls. */
  transport?: Transport | "auto";
  /** Attempts in a row that may bring nothing, before it gives up. Unlimited by default. */
  maxAttempts?: number;
  /** How `fetch` treats cookies. `same-origin` by default; `include` for cookies across origins. */
  credentials?: RequestCredentials;
  /** Called once with each event, in order. What it throws is reported to the page and harms nothing. */
  onEvent?: (event: SessionEvent) => void;
  /** Called once when the session has ended, however that came to be known, with its result where it has one. */
  onComplete?: (session: SessionSnapshot<Result>) => void;
}

/**
 * Follows one session while somebody is subscribed, and survives every cut.
 *
 * It connects with the first subscriber and lets go with the last one; whoever subscribes again goes on where it was.
 */
export class ProgressClient<Result = unknown> {
  /**
   * @param src the session's URL, `…/sessions/{id}`; a relative one is resolved against the page.
   * @throws {ProgressError} of kind `protocol`: it cannot be the URL of a session, in a sentence that says why.
   */
  constructor(src: string | URL, options?: ClientOptions<Result>);
  /** The session's URL, absolute. */
  readonly url: string;
  /** Calls `listener` after each change. Returns the function that ends it. */
  subscribe(listener: () => void): () => void;
  /** What is known now: the same object until something changes. */
  getSnapshot(): ClientSnapshot<Result>;
  /** Tries again at once, also after it gave up. */
  retryNow(): void;
  /** Ends for good: no listener is called any more. */
  close(): void;
  /**
   * Asks the session to stop; it ends when its producer obeys.
   * @throws {ProgressError} the caller may not, or nobody answers.
   */
  requestCancel(reason?: string): Promise<{ status: SessionStatus }>;
  /**
   * Answers an open question of `session.requests`.
   * @throws {ProgressError} with code `bad_request` where the value does not fit, `conflict` where it is settled already.
   */
  answer(requestId: string, value: unknown): Promise<void>;
  /**
   * Waits for the session's end and gives its result, null where it has none.
   * @throws {ProgressError} with code `conflict` where it failed, was cancelled or lost; it has `session: {status, error}`.
   */
  result(): Promise<Result | null>;
}
