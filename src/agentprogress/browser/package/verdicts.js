// What a close, an error or an answer means for a client, and in which words. Actions: `come_back`, `new_token` (at once, if
// there is another one), `unknown_grace` (for some time, if it was ever welcomed), `give_up`, `done`.

import { ProgressError } from "./errors.js";

// code: [kind, close, action]. Of all others `retryable` says what to do, or whether the close is among 4400–4499.
const CODES = {
  bad_request: ["protocol", 4400],
  unauthorized: ["unauthorized", 4401, "new_token"],
  token_expired: ["unauthorized", 4104, "new_token"],
  forbidden: ["forbidden", 4403],
  not_found: ["unknown_session", 4406],
  session_unknown: ["unknown_session", 4404, "unknown_grace"],
  wrong_process: ["unknown_session", 4421, "unknown_grace"],
  session_gone: ["gone", 4410],
  rate_limited: ["overloaded", 4105],
};
const STATUS_KINDS = { 401: "unauthorized", 403: "forbidden", 404: "unknown_session", 429: "overloaded" };

/** Whether a status speaks of the moment, not of what was asked for. */
export const isPassing = (status) => /408|42[59]|5../.test(status);

function judge(kind, action, message, more) {
  const retryable = /back|token/.test(action);
  return { action, error: new ProgressError(kind, message, { ...more, retryable }), floorMs: more.retryAfter > 0 ? more.retryAfter * 1000 : 0 };
}

function judgeCode(code, message, canRetry, more) {
  const [kind, , action] = Object.hasOwn(CODES, code) ? CODES[code] : ["server"];
  return judge(kind, action ?? (canRetry === true ? "come_back" : "give_up"), message, { ...more, code });
}

/** An `error` frame, or `reconnect`, whose delay the server has drawn for this client alone. */
export function judgeFrame({ type, code, message, retryable, retry_after: retryAfter, gone }) {
  if (type === "error") return judgeCode(code, message, retryable, { session: gone, retryAfter });
  return { ...judgeCode("going_away", "The server is restarting.", true, { retryAfter }), isDrawn: true };
}

/** A close that no frame explained. */
export function judgeClose(closeCode) {
  const code = Object.keys(CODES).find((name) => CODES[name][1] === closeCode) ?? null;
  const isFinal = closeCode >= 4400 && closeCode < 4500;
  const { action, error } = judgeCode(code, `The connection was closed (${closeCode}).`, !isFinal, { closeCode });
  if (!code) error.kind = isFinal ? "protocol" : "network";
  return { action, error };
}

/** An HTTP answer that is not what was asked for: {status, problem, retryAfter (seconds), contentType}. */
export function judgeAnswer({ status, problem, retryAfter, contentType }) {
  const { code, detail, title, retryable, session, retry_after = retryAfter } = problem ?? {};
  if (typeof code === "string") return judgeCode(code, `${detail || title || status}`, retryable, { status, session, retryAfter: retry_after });
  const message = `A proxy, a sign-in page or a wrong address answered ${status} (${contentType}).`;
  const kind = STATUS_KINDS[status] ?? (status < 500 ? "protocol" : "server");
  return judge(kind, status === 204 ? "done" : "come_back", message, { status, retryAfter });
}
