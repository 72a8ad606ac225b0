// Reads what a server sends into frames: their shape only, never what they lead to. What breaks the framing throws, and
// the client comes back after it; unknown fields, unknown control frames and odd events are left as they are.

import { passing } from "./errors.js";

export const PROTOCOL = 1;

// What each control frame must have.
const NEEDED = {
  welcome: ["session_id", "epoch", "status", "resume", "head"],
  snapshot: ["seq", "state"],
  gap: ["missed_from", "missed_to"],
  heartbeat: ["head", "producer"],
  reconnect: ["retry_after"],
  error: ["code", "message"],
  end: ["status", "head"],
};

export function malformed() {
  throw passing("protocol", "The server sent something that cannot be understood.");
}

export const isEvent = ({ type }) => type.includes(".");

/** The frames of a WebSocket's message: an array of one or more. */
export const readFrames = (text) => checkedAll(parsed(text));

/** The frames of a page. */
export const readPage = (text) => checkedAll(parsed(text)?.frames);

/** The data of a server-sent event: one frame. */
export const readFrame = (text) => checked(parsed(text));

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    malformed();
  }
}

const checkedAll = (frames) => (Array.isArray(frames) && frames.length ? frames.map(checked) : malformed());

function checked(frame) {
  const type = frame?.type;
  if (typeof type !== "string") malformed();
  if (isEvent(frame)) return Number.isInteger(frame.seq) && frame.seq > 0 ? frame : malformed();
  // A welcome of another version may lack anything but its number.
  const needed = (frame.protocol ?? PROTOCOL) === PROTOCOL && Object.hasOwn(NEEDED, type) ? NEEDED[type] : [];
  return needed.some((name) => (frame[name] ?? null) === null) ? malformed() : frame;
}
