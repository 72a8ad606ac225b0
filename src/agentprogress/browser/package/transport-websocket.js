// Frames by WebSocket. The token goes among the subprotocols, because a page cannot set a header here and URLs are logged.

import { readFrames } from "./frames.js";

const PROTOCOLS = "agentprogress.";

/** Resolves when the socket is closed; rejects at what is no frame. */
export const followByWebSocket = ({ url, cursor, token, signal }, on) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url.websocket(cursor), [`${PROTOCOLS}v1`, ...(token ? [`${PROTOCOLS}bearer.${base64url(token)}`] : [])]);
    signal.addEventListener("abort", () => socket.close());
    socket.onopen = () => on("opened");
    socket.onmessage = ({ data }) => {
      try {
        if (on("received", readFrames(data))) socket.send('{"type":"pong"}');
      } catch (error) {
        reject(error);
      }
    };
    socket.onclose = ({ code }) => resolve(on("closed", code));
  });

function base64url(text) {
  const base64 = btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  return base64.replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}
