// The element's words and sentences, in English. Words of the wire that are not here (another status, a kind) are shown as they are.

const WORDS =
  "session pending running waiting completed failed cancelled lost planned interrupted skipped connecting live reconnecting offline " +
  "ended progress cancel result download steps output artifacts usage input_tokens output_tokens cost details log level all info " +
  "warning error send yes no";

const SENTENCES = {
  nothing: "Nothing to follow.",
  quiet: "Nothing has happened yet.",
  replaying: "Catching up",
  gave_up: "Not connected",
  in: "in {n} s",
  retry: "Retry now",
  unauthorized: "Sign in again.",
  forbidden: "Ask for access.",
  unknown_session: "Check the address.",
  gone: "Run it again.",
  protocol: "Check the address, or reload the page.",
  later: "Try again later.",
  more: "and {n} more",
  cancelling: "Cancelling…",
  stalled: "There has been no sign of life for a while.",
  settled: "The question is settled.",
  retrying: "An attempt failed: {message}",
  questions: "Waiting for an answer",
  elsewhere: "Answer it in the application.",
  expires: "Expires at {time}",
  again: "can be tried again",
  was_lost: "Whoever ran it has disappeared.",
  loading: "Loading…",
  of: "{n} of {total}",
  some_failed: "{n} failed",
  finished: "{n} finished",
  writing: "writing",
  cut: "only the end",
  latest: "Jump to latest",
  attempt: "attempt {n}",
  one_per_line: "One per line",
  invalid_json: "This is no JSON.",
};

const spelled = (word) => word[0].toUpperCase() + word.slice(1).replace("_", " ");

export const LABELS = { ...Object.fromEntries(WORDS.split(" ").map((word) => [word, spelled(word)])), ...SENTENCES };

/** What gives a text by its key, with its placeholders filled in. Words of the wire may be any: none of them is such a sentence. */
export function translator(labels) {
  const all = new Map(Object.entries({ ...LABELS, ...labels }));
  return (key, values) => {
    const text = String(all.get(key) ?? key);
    if (!values) return text.includes("{") ? String(key) : text;
    return text.replace(/\{(\w+)\}/g, (hole, name) => values[name] ?? hole);
  };
}
