// Reads what a server sends into frames: their shape only, never what they lead to. What breaks the framing throws, and
// the client comes back after it; unknown fields, unknown control frames and odd events are left as they are.

import { ProgressError } from "./errors.js";

const isText = (value) => typeof value === "string";
const isNumber = (value) => Number.isFinite(value);
const isCount = (value) => Number.isInteger(value) && value >= 0 && value <= 2 ** 53;
const isSeq = (value) => isCount(value) && value > 0;
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isEpoch = (value) => isText(value) && /^[0-9A-Za-z]{10}$/.test(value);

const NEEDED = {
  welcome: {
    session_id: isText, epoch: isEpoch, status: isText, resume: isText, head: isCount, heartbeat_interval: isNumber, retry_window: isNumber,
  },
  snapshot: { seq: isCount, state: isObject },
  gap: { missed_from: isSeq, missed_to: isSeq, reason: isText },
  heartbeat: { head: isCount, producer: isText },
  reconnect: { retry_after: isNumber },
  error: { code: isText, message: isText },
  end: { status: isText, head: isCount },
};
export const PROTOCOL = 1;

export function malformed(message) {
  return new ProgressError("protocol", message, { retryable: true });
}

export const isEvent = (frame) => frame.type.includes(".");

/** The data of a server-sent event: one frame. */
export const readFrame = (text) => checked(parsed(text));

/** A WebSocket's message, or the `frames` of a page: an array of one or more. */
export function readFrames(text, unwrap = (value) => value) {
  const frames = unwrap(parsed(text));
  if (!Array.isArray(frames) || !frames.length) throw malformed("The server sent no array of frames.");
  return frames.map(checked);
}

export const readPage = (text) => readFrames(text, (page) => page?.frames);

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed("The server sent something that is not JSON.");
  }
}

function checked(frame) {
  const type = frame?.type;
  let needed = isText(type) && (Object.hasOwn(NEEDED, type) ? NEEDED[type] : {});
  if (!isObject(frame) || !needed) throw malformed("A frame is not an object with a type.");
  if (isEvent(frame)) needed = { seq: isSeq };
  // A welcome of another version may lack anything but its number.
  else if (type === "welcome" && frame.protocol !== PROTOCOL) needed = { protocol: isCount };
  for (const [name, fits] of Object.entries(needed)) {
    if (!fits(frame[name])) throw malformed(`${type.slice(0, 40)} lacks ${name}.`);
  }
  return frame;
}
