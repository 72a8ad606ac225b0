// What a close, an error or an answer means for a client, and in which words. Actions: `come_back`, `new_token` (at once, if
// there is another one), `unknown_grace` (for some time, if it was ever welcomed), `give_up`, `done`.

import { ProgressError } from "./errors.js";

// name: [WebSocket close, kind, action]
const CODES = {
  bad_request: [4400, "protocol", "give_up"],
  unauthorized: [4401, "unauthorized", "new_token"],
  forbidden: [4403, "forbidden", "give_up"],
  not_found: [4406, "unknown_session", "give_up"],
  session_unknown: [4404, "unknown_session", "unknown_grace"],
  method_not_allowed: [4405, "protocol", "give_up"],
  conflict: [4409, "server", "give_up"],
  session_gone: [4410, "gone", "give_up"],
  too_large: [4413, "protocol", "give_up"],
  wrong_process: [4421, "unknown_session", "unknown_grace"],
  rate_limited: [4105, "overloaded", "come_back"],
  draining: [4100, "server", "come_back"],
  slow_subscriber: [4101, "timeout", "come_back"],
  no_pong: [4102, "timeout", "come_back"],
  token_expired: [4104, "unauthorized", "new_token"],
  store_unavailable: [4106, "server", "come_back"],
  internal: [4107, "server", "come_back"],
  going_away: [1012, "server", "come_back"],
};
const STATUS_KINDS = {
  401: "unauthorized", 403: "forbidden", 404: "unknown_session", 407: "unauthorized", 408: "timeout", 410: "gone",
  429: "overloaded", 504: "timeout",
};

/** Whether a status speaks of the moment, not of what was asked for. */
export const isPassing = (status) => status >= 500 || [408, 425, 429].includes(status);

const toMs = (seconds) => (seconds > 0 ? seconds * 1000 : 0);

function judgeCode(name, message, { retryable, retry_after, status, closeCode, session }) {
  const [, kind, action] = (Object.hasOwn(CODES, name) && CODES[name]) || [0, "server", retryable === true ? "come_back" : "give_up"];
  const canRetry = action === "come_back" || action === "new_token";
  const error = new ProgressError(kind, message, { retryable: canRetry, status, closeCode, code: name, session });
  return { action, error, floorMs: toMs(retry_after) };
}

/** An `error` frame, or `reconnect`, whose delay the server has drawn for this client alone. */
export function judgeFrame(frame) {
  if (frame.type === "error") return judgeCode(frame.code, frame.message, { ...frame, session: frame.gone });
  return { ...judgeCode("going_away", "The server asks its clients to come back.", frame), isDrawn: true };
}

/** A close that no frame explained. */
export function judgeClose(closeCode) {
  const found = Object.entries(CODES).find(([, [code]]) => code === closeCode);
  if (found) return judgeCode(found[0], `The server closed the connection: ${found[0]} (${closeCode}).`, { closeCode });
  const retryable = !(closeCode >= 4400 && closeCode < 4500);
  const error = new ProgressError(retryable ? "network" : "protocol", `The connection was closed (${closeCode}).`, { retryable, closeCode });
  return { action: retryable ? "come_back" : "give_up", error, floorMs: 0 };
}

/** An HTTP answer that is not what was asked for: {status, problem, retryAfter (seconds), contentType}. */
export function judgeAnswer({ status, problem, retryAfter, contentType }) {
  if (typeof problem?.code === "string") {
    const message = [problem.detail, problem.title, `The server answered ${status}.`].find((text) => text && typeof text === "string");
    return judgeCode(problem.code, message, { retry_after: retryAfter, ...problem, status });
  }
  const kind = STATUS_KINDS[status] ?? (status >= 500 ? "server" : "protocol");
  const what = contentType?.split(";")[0] || "nothing";
  const message = `Something that is not agentprogress answered ${status} (${what}): a proxy, a sign-in page, or the wrong address.`;
  const error = new ProgressError(kind, message, { retryable: true, status });
  return { action: status === 204 ? "done" : "come_back", error, floorMs: toMs(retryAfter) };
}
