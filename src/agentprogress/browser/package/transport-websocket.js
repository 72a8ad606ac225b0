// Frames by WebSocket. The token goes among the subprotocols, because a page cannot set a header here and URLs are logged.

import { readFrames } from "./frames.js";

const SUBPROTOCOL = "agentprogress.v1";
const PONG = '{"type":"pong"}';

/** Resolves when the socket is closed; rejects at what is no frame. */
export function followByWebSocket({ url, cursor, token, signal }, on) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url.websocket(cursor), [SUBPROTOCOL, ...bearerOf(token)]);
    signal.addEventListener("abort", () => socket.close());
    socket.onopen = on.opened;
    socket.onmessage = ({ data }) => {
      try {
        if (on.frames(readFrames(data))) socket.send(PONG);
      } catch (error) {
        reject(error);
      }
    };
    socket.onclose = ({ code }) => {
      on.closed(code);
      resolve();
    };
  });
}

function bearerOf(token) {
  if (!token) return [];
  const base64 = btoa(String.fromCharCode(...new TextEncoder().encode(token)));
  return [`agentprogress.bearer.${base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`];
}
