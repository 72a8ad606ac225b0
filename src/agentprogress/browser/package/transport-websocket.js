// Frames by WebSocket. The token goes among the subprotocols, because a page cannot set a header here and URLs are logged.

import { readFrames } from "./frames.js";

const PROTOCOLS = "agentprogress.";

/** Resolves when the socket is closed, or cannot be made; rejects at what is no frame. */
export const followByWebSocket = ({ url, cursor, token, signal }, on) =>
  new Promise((resolve, reject) => {
    const closed = ({ code }) => resolve(on("closed", code));
    let socket;
    try {
      socket = new WebSocket(url.websocket(cursor), [`${PROTOCOLS}v1`, ...(token ? [`${PROTOCOLS}bearer.${base64url(token)}`] : [])]);
    } catch (error) {
      return closed(error); // not here: another transport may do
    }
    signal.onabort = () => socket.close();
    socket.onopen = () => on("opened");
    socket.onmessage = ({ data }) => {
      try {
        const frames = readFrames(data);
        on("received", frames);
        if (frames.some(({ type }) => type === "heartbeat")) socket.send('{"type":"pong"}');
      } catch (error) {
        reject(error);
      }
    };
    socket.onclose = closed;
  });

function base64url(text) {
  const base64 = btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  return base64.replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}
