// How long a client waits before it comes back.

/** Counts the attempts of one client, and draws the delay before each. Milliseconds. */
export class Backoff {
  /** @param random returns a number from [0, 1). */
  constructor(random?: () => number);
  /** The attempts since the last `reset`. */
  readonly attempt: number;
  /** Takes the window of a `welcome`, unless a larger one has been advised. */
  welcome(windowMs: number): void;
  /** Takes the window that a server advises. */
  advise(windowMs: number): void;
  /**
   * Counts an attempt and draws the delay before it.
   * @param floorMs the server's `retry_after`.
   * @param drawn whether the server has drawn it for this client alone.
   */
  nextDelay(floorMs?: number, drawn?: boolean): number;
  /** Starts to count anew. */
  reset(): void;
}
