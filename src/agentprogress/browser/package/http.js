// Asking by fetch. What comes instead of what was asked for is thrown, as `judgeAnswer` takes it.

export const JSON_TYPE = "application/json";

/** `options`: {token, credentials, signal, body}; with a body it is a POST. */
export async function ask(url, wanted, { token, credentials, signal, body }) {
  const headers = body ? { "Content-Type": JSON_TYPE } : {};
  if (token) headers.Authorization = `Bearer ${token}`;
  const sent = { method: body && "POST", body: JSON.stringify(body), headers };
  const response = await fetch(url, { ...sent, credentials, signal, cache: "no-store" });
  const contentType = response.headers.get("Content-Type") ?? "";
  if (response.ok && contentType.startsWith(wanted)) return response;
  // Only a problem speaks for the server.
  const problem = /problem/.test(contentType) && (await response.json().catch(() => null));
  throw { status: response.status, problem, retryAfter: response.headers.get("Retry-After"), contentType };
}
