// `<agent-progress src="…/sessions/{id}">`: shows a session and how the connection to it stands.

import type { ProgressClient, Token, Transport } from "./client.js";
import type { SessionSnapshot } from "./events.js";

/** The element's texts. Placeholders stand in braces and are the same in every language. */
export type Labels = Readonly<Record<string, string>>;

/** The texts in English, all of them. */
export const LABELS: Labels;

export interface AgentProgressEventMap {
  /** The session ended; once. */
  complete: CustomEvent<SessionSnapshot>;
}

/**
 * Attributes: `src`, `transport` (`auto`, `websocket`, `sse`, `long-poll`), `readonly` (nothing can be cancelled or answered),
 * `credentials` (as of `fetch`). CSS: `::part()`s and `--ap-*` properties, see docs/browser.md.
 */
export class AgentProgressElement extends HTMLElement {
  /** The session's URL; null shows that there is nothing to follow. */
  src: string | null;
  transport: Transport | "auto";
  readonly: boolean;
  /** A token cannot be an attribute: what is in the document can be read by everything in it. */
  token: Token;
  /** Texts that replace the English ones; those that are missing stay English. */
  labels: Labels;
  /** What follows the session, to call `retryNow`, `requestCancel` and the like; null without `src`. */
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
