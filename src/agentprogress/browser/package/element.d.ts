// `<agent-progress src="…/sessions/{id}">`: shows a session and how the connection to it stands.

import type { ProgressClient, Token, Transport } from "./client.js";
import type { SessionSnapshot } from "./events.js";

/** The element's texts by their keys. Placeholders stand in braces and are the same in every language. */
export type Labels = Readonly<Record<string, string>>;

/** The texts in English, all of them. A word of the wire that has none (a kind, another status) may be given one by its own name. */
export const LABELS: Labels;

export interface AgentProgressEventMap {
  /** The session ended; once for each client. */
  complete: CustomEvent<SessionSnapshot>;
}

/**
 * Attributes: `src`, `transport` (`auto`, `websocket`, `sse`, `long-poll`), `credentials` (as of `fetch`), `readonly` (nothing can
 * be cancelled or answered). CSS: `::part()`s and `--ap-*` properties, see docs/browser.md. It is as wide as its place and lays
 * itself out by that; in a flex row it needs `flex: 1` or a width.
 */
export class AgentProgressElement extends HTMLElement {
  /** The session's URL; null shows that there is nothing to follow. */
  src: string | null;
  /** `auto` where it is null. */
  transport: Transport | "auto" | null;
  credentials: RequestCredentials | null;
  readonly: boolean;
  /**
   * A token cannot be an attribute: what is in the document can be read by everything in it. Another one disturbs nothing: it is
   * used when a token is needed next, and at once where the last one was refused.
   */
  token: Token;
  /** Texts that replace the English ones; those that are missing stay English. */
  labels: Labels;
  /**
   * What follows the session, to call `retryNow`, `requestCancel` and the like; null without `src`.
   * @throws {ProgressError} `src` cannot be the URL of a session.
   */
  readonly client: ProgressClient | null;
  addEventListener<K extends keyof AgentProgressEventMap>(
    type: K, listener: (this: AgentProgressElement, event: AgentProgressEventMap[K]) => void, options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "agent-progress": AgentProgressElement;
  }
}
