// Asking by fetch, and reading answers that are not what was asked for.

/** `options`: {token, credentials, signal, body}; with a body it is a POST. */
export function ask(url, { token, credentials, signal, body }) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(url, { method: body ? "POST" : "GET", body: body && JSON.stringify(body), headers, credentials, signal, cache: "no-store" });
}

/** Asks for what is to be read; where something else comes, it is told to `on` and nothing is returned. */
export async function open(url, contentType, options, on) {
  const response = await ask(url, options);
  if (response.status === 200 && typeOf(response).startsWith(contentType)) {
    on("opened");
    return response;
  }
  on("refused", await answerOf(response));
}

const typeOf = (response) => response.headers.get("Content-Type") ?? "";

/** What `judgeAnswer` needs to know. Only a problem speaks for the server. */
export async function answerOf(response) {
  const contentType = typeOf(response);
  const problem = contentType.startsWith("application/problem+json") && (await response.json().catch(() => null));
  return { status: response.status, problem, retryAfter: response.headers.get("Retry-After"), contentType };
}
