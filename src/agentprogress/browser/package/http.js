// Asking by fetch, and reading answers that are not what was asked for.

/** The headers that prove who asks. */
export const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

export const typeOf = (response) => response.headers.get("Content-Type") ?? "";

/** What `judgeAnswer` needs to know. Only a problem speaks for the server. */
export async function answerOf(response) {
  const contentType = typeOf(response);
  let problem = null;
  if (contentType.startsWith("application/problem+json")) problem = await response.json().catch(() => null);
  return { status: response.status, problem, retryAfter: Number(response.headers.get("Retry-After")), contentType };
}
