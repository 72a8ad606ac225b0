// The URLs of a session.

/**
 * A WebSocket's URL for one of HTTP: `http` becomes `ws` and `https` becomes `wss`, everything else is kept as it is written.
 * A relative URL is resolved against `base`, by default the page.
 * @throws {ProgressError} of kind `protocol`, in a sentence that says what is wrong with it.
 */
export function websocketUrl(url: string | URL, base?: string): string;

/** The URL that users name a session by, and the URLs of its routes. */
export class SessionUrl {
  /** @throws {ProgressError} of kind `protocol`: it is no URL of a session. */
  constructor(url: string | URL, base?: string);
  /** Absolute, of HTTP, without a fragment. */
  readonly href: string;
  /** The last segment of the path, decoded. */
  readonly sessionId: string;
  /** The URL of a route for HTTP, `""` for the session itself, with parameters behind those of the session's URL. */
  route(name: string, query?: Readonly<Record<string, string | null>>): string;
  /** The URL of the session's WebSocket, to continue from a cursor. */
  websocket(after: string | null): string;
}
