// React 18 and later.

import type { CSSProperties, ReactElement } from "react";
import type { Connection, Token, Transport } from "./client.js";
import type { Labels } from "./element.js";
import type { SessionEvent, SessionSnapshot } from "./events.js";

/** Functions may be written in place: another one takes effect when it is next called, and disturbs nothing. */
export interface ProgressSessionOptions<Result, Selected = SessionSnapshot<Result> | null> {
  /** A string that takes the place of one that was refused is tried at once. */
  token?: Token;
  /** Another one begins anew, as does another `credentials`. */
  transport?: Transport | "auto";
  credentials?: RequestCredentials;
  /** What of the session the component needs: it renders again only when this changes (by `Object.is`). */
  select?: (session: SessionSnapshot<Result> | null) => Selected;
  /** Called once with each event, in order. */
  onEvent?: (event: SessionEvent) => void;
  /** Called once when the session has ended, however that came to be known; not after the component is gone. */
  onComplete?: (session: SessionSnapshot<Result>) => void;
}

/** Its functions are the same as long as the component lives; they do nothing while there is no session. */
export interface ProgressSession<Selected> {
  /** What was selected; the session itself by default, null until the server has said what it is. */
  session: Selected;
  /** `idle` on a server, too. `gave_up` with a reason where `src` cannot be the URL of a session. */
  connection: Connection;
  /**
   * Asks the session to stop.
   * @throws {ProgressError} the caller may not, or nobody answers.
   */
  cancel: (reason?: string) => Promise<void>;
  /**
   * Answers an open question of `session.requests`.
   * @throws {ProgressError} with code `bad_request` where the value does not fit, `conflict` where it is settled already.
   */
  answer: (requestId: string, value: unknown) => Promise<void>;
  /** Tries again at once, also after it gave up. */
  retryNow: () => void;
}

/**
 * Follows a session for as long as the component is mounted.
 *
 * @param src the session's URL; null while there is none, which is `idle`.
 */
export function useProgressSession<Result = unknown>(
  src: string | null,
  options?: Omit<ProgressSessionOptions<Result>, "select">,
): ProgressSession<SessionSnapshot<Result> | null>;
/** With `select`, whose parameter names the result: `select: (session: SessionSnapshot<Report> | null) => …`. */
export function useProgressSession<Result, Selected>(
  src: string | null,
  options: ProgressSessionOptions<Result, Selected> & { select: (session: SessionSnapshot<Result> | null) => Selected },
): ProgressSession<Selected>;

export interface AgentProgressProps<Result = unknown> {
  src: string | null;
  token?: Token;
  transport?: Transport | "auto";
  credentials?: RequestCredentials;
  /** Nothing can be cancelled or answered. */
  readOnly?: boolean;
  /** Texts that replace the English ones. */
  labels?: Labels;
  /** Called once when the session has ended, however that came to be known. */
  onComplete?: (session: SessionSnapshot<Result>) => void;
  className?: string;
  style?: CSSProperties;
  id?: string;
}

/** The element `<agent-progress>` as a component. */
export function AgentProgress<Result = unknown>(props: AgentProgressProps<Result>): ReactElement;
