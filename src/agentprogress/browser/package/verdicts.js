// What a close, an error or an answer means for a client, and in which words. Actions: `come_back`, `new_token` (at once, if
// there is another one), `unknown_grace` (for some time, if it was ever welcomed), `give_up`, `done`.

import { ProgressError } from "./errors.js";

// What of each kind is called by the protocol's codes, by closes, and by what strangers answer.
const KINDS = {
  unauthorized: /^(unauthorized|token_expired|4401|4104|401)$/,
  forbidden: /^(forbidden|4?403)$/,
  unknown_session: /^(session_unknown|wrong_process|not_found|44(04|06|21)|404)$/,
  gone: /^(session_gone|4?410)$/,
  overloaded: /^(rate_limited|4105|429)$/,
  timeout: /^(slow_subscriber|no_pong|410[12]|408|504)$/,
  protocol: /^(bad_request|44..|[234]..)$/,
};
// Of all others `canRetry` says what to do.
const ACTIONS = { unauthorized: "new_token", unknown_session: "unknown_grace" };

/** Whether a status speaks of the moment, not of what was asked for. */
export const isPassing = (status) => /408|42[59]|5../.test(status);

/** Whether somebody else than the server speaks, and not of the moment. */
export const isForeign = ({ status, code }) => status && !code && !isPassing(status);

function judge(name, other, canRetry, message, { action, retryAfter, ...more }) {
  const kind = Object.keys(KINDS).find((each) => KINDS[each].test(name)) ?? other;
  // An address at which there is nothing will not have a session after a restart either.
  if (/^(not_found|4406)$/.test(name)) action = "give_up";
  action ??= ACTIONS[kind] ?? (canRetry ? "come_back" : "give_up");
  const error = new ProgressError(kind, message, { ...more, retryable: /back|token/.test(action) });
  return { action, error, floorMs: Math.max(retryAfter * 1000 || 0, 0) };
}

/** An `error` frame, or `reconnect`, whose delay the server has drawn for this client alone. */
export function judgeFrame({ type, code, message, retryable, retry_after: retryAfter, gone: session }) {
  if (type === "error") return judge(code, "server", retryable === true, message, { code, session, retryAfter });
  return { ...judge("", "server", true, "The server is restarting.", { code: "going_away", retryAfter }), isDrawn: true };
}

/** A close that no frame explained. */
export function judgeClose(closeCode) {
  const canRetry = !/^44..$/.test(closeCode);
  return judge(closeCode, "network", canRetry, `The connection was closed (${closeCode}).`, { closeCode });
}

/** An HTTP answer that is not what was asked for: {status, problem, retryAfter (seconds), contentType}. */
export function judgeAnswer({ status, problem, retryAfter: header, contentType }) {
  const { code, detail, title, retryable, session, retry_after: retryAfter = header } = problem || {};
  if (typeof code === "string") {
    return judge(code, "server", retryable === true, `${detail || title || status}`, { code, status, session, retryAfter });
  }
  const action = status === 204 ? "done" : "come_back";
  const message = `A proxy, a sign-in page or a wrong address answered ${status} (${contentType}).`;
  return judge(status, "server", true, message, { action, status, retryAfter: header });
}
