// The state of a session from its events, by the rules that the server folds by.

import type { SessionEvent, SessionSnapshot } from "./events.js";

/** The bounds of a state; `LIMITS` has the server's. Names as in the server's settings. */
export interface FoldLimits {
  max_steps: number;
  max_texts: number;
  max_text_chars: number;
  max_logs: number;
  max_log_bytes: number;
  max_artifacts: number;
  max_requests: number;
  max_custom: number;
  max_string_chars: number;
  max_id_chars: number;
  max_value_bytes: number;
  max_record_bytes: number;
  /** Keep what events tell and states do not: `fields` of a log line, `reason` of a step's or the session's end. */
  detail: boolean;
}

export const LIMITS: Readonly<FoldLimits>;

/** The state before the first event. */
export function emptyState(sessionId: string, epoch: string): SessionSnapshot;

/** The state after one more event; `state` is not changed. For many events `Fold` is cheaper. */
export function fold(state: SessionSnapshot, event: SessionEvent, limits?: Partial<FoldLimits>): SessionSnapshot;

/** A state that grows event by event. */
export class Fold {
  /** @param state goes on from it, and is not changed. */
  constructor(state: SessionSnapshot, limits?: Partial<FoldLimits>);
  /** Takes one event. Never throws: what does not fit changes nothing but `seq`. */
  apply(event: SessionEvent): void;
  /** Takes a later state of the same epoch from the server. Log lines that are here already, and are not in it, are kept. */
  jump(state: SessionSnapshot): void;
  /** The state now. The same object until something is applied, and in the next one all parts that did not change are the same objects. */
  readonly state: SessionSnapshot;
}
