// Server-sent events, read by WHATWG's rules.

export interface SseMessage {
  event: string;
  data: string;
  id: string;
}

/** Takes a stream in pieces, cut anywhere, and gives back the messages that they complete. */
export class SseParser {
  /** @param maxMessageBytes the most that the lines of one message may have together, each with one for its end. */
  constructor(maxMessageBytes?: number);
  /** The id of the last finished message that had one. */
  readonly lastId: string;
  /** The milliseconds that the stream last asked for, or null. */
  readonly retryMs: number | null;
  /**
   * @throws {RangeError} a message passes the bound; nothing more may be fed.
   */
  feed(chunk: Uint8Array): SseMessage[];
}
