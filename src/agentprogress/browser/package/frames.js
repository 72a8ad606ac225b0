// Reads what a server sends into frames: their shape only, never what they lead to. What breaks the framing throws, and
// the client comes back after it; unknown fields, unknown control frames and odd events are left as they are.

import { passing } from "./errors.js";

export const PROTOCOL = 1;

// What each control frame must have.
const NEEDED = {
  __proto__: null, // what an object inherits is no type
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

/** Control frames of a later version are not. */
export const isKnown = (frame) => isEvent(frame) || frame.type in NEEDED;

/** The data of a server-sent event: one frame. */
export const readFrame = reading(checked);

/** The frames of a WebSocket's message: an array of one or more. */
export const readFrames = reading(checkedAll);

/** The frames of a page. */
export const readPage = reading(({ frames }) => checkedAll(frames));

/** Whatever cannot be read is malformed, however that shows. */
function reading(read) {
  return (text) => {
    try {
      return read(JSON.parse(text));
    } catch {
      malformed();
    }
  };
}

function checkedAll(frames) {
  return frames.length ? frames.map(checked) : malformed();
}

function checked(frame) {
  const { type, seq, protocol = PROTOCOL } = frame;
  if (typeof type !== "string") malformed();
  if (isEvent(frame)) return Number.isInteger(seq) && seq > 0 ? frame : malformed();
  // A welcome of another version may lack anything but its number.
  const isOther = type === "welcome" && protocol !== PROTOCOL;
  return isOther || NEEDED[type]?.every((name) => frame[name] != null) !== false ? frame : malformed();
}
