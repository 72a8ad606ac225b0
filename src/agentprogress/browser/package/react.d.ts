// React 18 and later.

import type { ReactElement, CSSProperties } from "react";
import type { Connection, Token, Transport } from "./client.js";
import type { Labels } from "./element.js";
import type { SessionEvent, SessionSnapshot } from "./events.js";

export interface ProgressSessionOptions<Result, Selected = SessionSnapshot<Result> | null> {
  token?: Token;
  transport?: Transport | "auto";
  credentials?: RequestCredentials;
  /** What of the session the component needs: it renders again only when this changes (by `Object.is`). */
  select?: (session: SessionSnapshot<Result> | null) => Selected;
  /** Called once with each event, in order. */
  onEvent?: (event: SessionEvent) => void;
  /** Called once when the session has ended, however that came to be known. */
  onComplete?: (session: SessionSnapshot<Result>) => void;
}

export interface ProgressSession<Selected> {
  session: Selected;
  connection: Connection;
  cancel: (reason?: string) => Promise<void>;
  answer: (requestId: string, value: unknown) => Promise<void>;
  retryNow: () => void;
}

/**
 * Follows a session for as long as the component is mounted.
 *
 * @param src the session's URL; null while there is none, which is `idle`.
 */
export function useProgressSession<Result = unknown, Selected = SessionSnapshot<Result> | null>(
  src: string | null,
  options?: ProgressSessionOptions<Result, Selected>,
): ProgressSession<Selected>;

export interface AgentProgressProps {
  src: string | null;
  token?: Token;
  transport?: Transport | "auto";
  readOnly?: boolean;
  labels?: Labels;
  onComplete?: (session: SessionSnapshot) => void;
  className?: string;
  style?: CSSProperties;
  id?: string;
}

/** The element `<agent-progress>` as a component. */
export function AgentProgress(props: AgentProgressProps): ReactElement;
