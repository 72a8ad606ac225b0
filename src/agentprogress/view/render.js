// Rendering: the whole page from the state, the connection and the time, touching only what changed.

const TITLES = {
  pending: "Pending", running: "Running", waiting: "Waiting", completed: "Completed", failed: "Failed",
  cancelled: "Cancelled", lost: "Lost",
};
const OUTCOMES = { failed: "Error", cancelled: "Cancelled", lost: "Lost" };
const TEXT_LIMIT = 200000; // characters of a result put on the page; more would freeze it

const seen = { result: null }; // what the page shows already, where no row remembers it

// Texts

const textRows = new Rows({
  keyOf: (text) => text.message_id,
  create: () => {
    const row = { root: make("article", "text"), head: make("h3"), body: make("div", "text-body"), node: document.createTextNode("") };
    row.body.tabIndex = 0;
    row.body.setAttribute("role", "group");
    row.body.append(row.node);
    row.root.append(row.head, row.body);
    row.tail = new Tail(row.body);
    return row;
  },
  place: (row, text) => {
    byId("texts").append(row.root);
    row.tail.isFollowing = !text.done; // a text that is whole is read from its start
  },
  update: updateText,
});

function updateText(row, text) {
  setAttribute(row.root, "data-channel", text.channel ?? "answer");
  setAttribute(row.root, "data-done", String(Boolean(text.done)));
  const step = view.state.steps.get(text.step_id);
  const label = [text.role ?? "assistant", text.channel, step?.name].filter(Boolean).join(" · ");
  setText(row.head, label + (text.cut ? " (only the end)" : ""));
  row.body.setAttribute("aria-label", label);
  const known = row.node.data;
  const whole = String(text.text ?? "");
  if (whole.startsWith(known)) row.node.appendData(whole.slice(known.length));
  else row.node.data = whole;
  row.tail.settle();
}

// Log

let logTail;

function renderLog(log, omitted) {
  const list = byId("log-rows");
  logTail ??= new Tail(byId("log"));
  if (seen.log !== log) {
    list.replaceChildren();
    Object.assign(seen, { log, logCount: 0 });
  }
  setText(byId("log-empty"), ENDED.has(view.state.status) ? "No messages were logged." : "No messages yet.");
  byId("log-empty").hidden = log.rows.length > 0;
  byId("log").hidden = log.rows.length === 0;
  const fresh = Math.min(log.count - seen.logCount, log.rows.length);
  if (fresh > 0) {
    const added = document.createDocumentFragment();
    for (const row of log.rows.slice(-fresh)) added.append(logRow(row));
    list.append(added);
    while (list.childElementCount > log.rows.length) list.firstElementChild.remove();
    logTail.settle();
  }
  seen.logCount = log.count;
  const total = log.count - log.notes + (omitted.logs ?? 0);
  const shown = log.rows.filter((row) => !row.note).length;
  const count = total > shown ? `last ${number(shown)} of ${number(total)}` : number(total);
  setText(byId("log-count"), total ? count : "");
  byId("log-latest").hidden = logTail.isFollowing || log.rows.length === 0;
}

function logRow(record) {
  const row = make("li", record.note ? "log-note" : "log-row");
  const level = String(record.level ?? "info").toLowerCase();
  if (record.seq !== undefined) row.dataset.seq = record.seq;
  row.dataset.level = level;
  const time = make("time", "log-time", record.time ? clockTime(record.time, true) : "");
  if (record.time) time.dateTime = record.time;
  const body = make("span", "log-body", asText(record.message));
  const step = view.state.steps.get(record.step_id);
  if (step) body.append(" ", make("span", "log-field", `step=${step.name}`));
  for (const [key, value] of Object.entries(record.fields ?? {})) {
    body.append(" ", make("span", "log-field", `${key}=${inline(value)}`));
  }
  row.append(time, make("span", "log-level", level), body);
  return row;
}

// Artifacts, requests, usage, values

const artifactRows = new Rows({
  keyOf: (artifact) => artifact.artifact_id,
  create: () => ({ root: make("li", "artifact") }),
  place: () => {},
  update: (row, artifact) => {
    byId("artifacts").append(row.root); // one that is made again is the newest
    const name = String(artifact.name ?? artifact.artifact_id);
    const href = artifact.url ? linkable(artifact.url) : null;
    const title = make(href ? "a" : "span", "artifact-name", name);
    if (href) Object.assign(title, { href, target: "_blank", rel: "noopener noreferrer" });
    row.root.replaceChildren(title, make("span", "muted", artifact.media_type ?? ""));
    if (artifact.data === undefined || artifact.data === null) return;
    const button = make("button", "", "Download");
    button.type = "button";
    button.setAttribute("aria-label", `Download ${name}`);
    button.addEventListener("click", () => download(name, artifact.media_type ?? "", asText(artifact.data)));
    row.root.append(button);
  },
});

const requestRows = new Rows({
  keyOf: (request) => request.request_id,
  create: () => ({ root: make("li", "request") }),
  place: (row) => byId("requests").append(row.root),
  update: (row, request) => {
    const facts = ["Answer it in the application; this page only shows it."];
    if (request.expires_at) facts.push(`Expires at ${clockTime(request.expires_at)}.`);
    row.root.replaceChildren(make("p", "prose", asText(request.prompt)), make("p", "muted", facts.join(" ")));
    if (!request.schema) return;
    const details = make("details");
    details.append(make("summary", "", "Expected answer"), make("pre", "", asText(request.schema)));
    row.root.append(details);
  },
});

function renderPairs(name, sources, pairsOf) {
  if (sources.every((source, index) => source === seen[name]?.[index])) return;
  seen[name] = sources;
  const pairs = pairsOf(...sources);
  const node = byId(name);
  byId(`${name}-panel`).hidden = pairs.length === 0;
  node.replaceChildren(...pairs.flatMap(([key, value]) => [make("dt", "", key), make("dd", "", value)]));
}

function valuePairs(metadata, custom) {
  return [...Object.entries(metadata ?? {}), ...custom].map(([key, value]) => [String(key), inline(value)]);
}

function usagePairs({ costs, ...counts }) {
  const used = Object.entries(counts).filter(([, value]) => value > 0);
  const paid = Object.entries(costs ?? {});
  return [
    ...used.map(([key, value]) => [words(key), number(value)]),
    ...paid.map(([currency, cost]) => ["Cost", `${number(cost)} ${currency}`.trim()]),
  ];
}

// Head, outcome, connection

function renderHead(state, status, nowMs) {
  const title = String(state.title ?? view.sessionId);
  setText(byId("title"), title);
  setText(byId("status"), TITLES[status] ?? status ?? "");
  setAttribute(document.body, "data-status", status);
  setAttribute(byId("status-glyph"), "data-status", status);
  const done = overallProgress(state);
  const share = done === 0 && status === "running" ? null : done; // nothing counts yet: busy, rather than "0 %"
  const isOver = ENDED.has(status);
  byId("progress").hidden = share === null && status !== "running";
  setMeter(byId("progress"), share);
  const percent = share === null ? "" : `${Math.floor(share * 100)} %`;
  setText(byId("percent"), percent);
  const untilMs = isOver && state.ended_at ? Date.parse(state.ended_at) : nowMs;
  setText(byId("elapsed"), state.started_at ? duration(state.started_at, untilMs, !isOver) : "");
  const mark = isOver || status !== "running" ? TITLES[status] : percent;
  document.title = mark ? `${mark} · ${title}` : title;
}

function renderOutcome(state, status) {
  const error = state.error ?? {};
  const sentence = {
    failed: () => errorLine(error),
    cancelled: () => state.reason ?? error.message ?? "The session was cancelled.",
    lost: () => error.message ?? "The producer disappeared without ending the session.",
  }[status]?.();
  byId("outcome-panel").hidden = sentence === undefined;
  if (sentence === undefined) return;
  const facts = [];
  if (error.code) facts.push(`Code ${error.code}`);
  if (error.retryable !== undefined) facts.push(error.retryable ? "Can be tried again" : "Not worth trying again");
  if (state.last_seen) facts.push(`Last sign of life at ${clockTime(state.last_seen)}`);
  setAttribute(byId("outcome-panel"), "data-tone", status === "cancelled" ? "calm" : "bad");
  setText(byId("outcome-heading"), OUTCOMES[status]);
  setText(byId("outcome-message"), String(sentence));
  setText(byId("outcome-facts"), facts.join(" · "));
  byId("outcome-facts").hidden = facts.length === 0;
  setText(byId("outcome-detail"), error.detail == null ? "" : clip(asText(error.detail), TEXT_LIMIT));
  byId("outcome-detail").hidden = error.detail == null;
}

function renderResult(state) {
  const hasResult = state.result !== null && state.result !== undefined;
  byId("result-panel").hidden = state.status !== "completed" || (!hasResult && !view.resultNote);
  byId("result-download").hidden = !hasResult;
  byId("result").hidden = !hasResult;
  if (seen.result !== state.result) {
    const text = hasResult ? asText(state.result) : "";
    byId("result").textContent = text.slice(0, TEXT_LIMIT);
    seen.resultNote = text.length > TEXT_LIMIT ? `The first ${number(TEXT_LIMIT)} of ${number(text.length)} characters.` : "";
    seen.result = state.result;
  }
  const note = view.resultNote || (hasResult ? seen.resultNote : "");
  setText(byId("result-note"), note);
  byId("result-note").hidden = !note;
}

function connectionWords(follower) {
  const isNew = follower.epoch === null;
  switch (follower.state) {
    case "connecting": return ["Connecting", ""];
    case "replaying": return ["Catching up", ""];
    case "live": return ["Live", ""];
    case "ended": return ["Ended", ""];
    case "gave_up": return ["Not connected", ""];
  }
  const label = isNew ? "Cannot connect" : "Reconnecting";
  if (follower.retryAtMs === null) return [label, isNew ? ", retrying now" : " now"];
  const seconds = Math.max(0, Math.ceil((follower.retryAtMs - Date.now()) / 1000));
  return [label, isNew ? `, retrying in ${seconds} s` : ` in ${seconds} s`];
}

function renderConnection(follower) {
  const [label, countdown] = connectionWords(follower);
  setAttribute(document.body, "data-connection", follower.state);
  setText(byId("connection-text"), label);
  setText(byId("countdown"), countdown);
  setAttribute(byId("connection"), "title", follower.sentence || null);
  const retry = byId("retry");
  retry.hidden = follower.state !== "gave_up" && !(follower.state === "reconnecting" && follower.retryAtMs !== null);
  const cursor = follower.epoch === null ? "" : `${follower.epoch}-${follower.seq}`;
  const transport = follower.transport === "sse" ? "Server-sent events" : "WebSocket";
  const attempt = view.state.attempt > 1 ? `Attempt ${view.state.attempt}` : "";
  setText(byId("foot"), [view.sessionId, attempt, cursor, transport].filter(Boolean).join(" · "));
}

function notices(state, status, follower, nowMs) {
  const found = [];
  const isOver = ENDED.has(status);
  if (follower.state === "gave_up") found.push(["bad", follower.sentence]);
  if (follower.state === "reconnecting" && follower.epoch === null) found.push(["wait", `${follower.sentence} This page keeps trying.`]);
  if (view.producer === "stalled" && !isOver) found.push(["wait", "The producer has given no sign of life for a while."]);
  if (status === "waiting" && state.requests.size === 0) found.push(["wait", "The question is settled; the session is about to go on."]);
  if (state.cancel_requested && !isOver) found.push(["wait", "Cancellation was requested; the session is winding up."]);
  if (state.error && status === "pending") {
    const waitMs = Date.parse(state.retry_at) - nowMs;
    const when = waitMs > 0 ? ` The next one starts at ${clockTime(state.retry_at)}.` : "";
    found.push(["wait", `An attempt failed: ${errorLine(state.error)}${when}`]);
  }
  return found;
}

function renderNotices(found) {
  const node = byId("notices");
  const signature = JSON.stringify(found);
  if (node.signature === signature) return;
  node.signature = signature;
  node.replaceChildren(...found.map(([tone, text]) => {
    const line = make("p", "notice", text);
    line.dataset.tone = tone;
    return line;
  }));
}

function render() {
  const { state, follower } = view;
  // Catching up passes through old states; the welcome already said the present one.
  const status = (follower.state === "replaying" && view.welcomeStatus) || state.status || view.welcomeStatus || null;
  if (seen.state !== state) {
    // A snapshot or another run: rows are made anew, so that their order and nesting are its own.
    for (const rows of [stepRows, textRows, artifactRows, requestRows]) rows.clear();
    seen.state = state;
  }
  const nowMs = (follower.state === "gave_up" ? follower.lastByteMs : Date.now()) + follower.clockOffsetMs;
  renderConnection(follower);
  renderHead(state, status, nowMs);
  renderNotices(notices(state, status, follower, nowMs));
  renderSteps(state, nowMs);
  renderNow(state, status);
  textRows.sync(state.texts);
  byId("texts-panel").hidden = state.texts.size === 0;
  renderLog(state.log, state.omitted);
  artifactRows.sync(state.artifacts);
  byId("artifacts-panel").hidden = state.artifacts.size === 0;
  requestRows.sync(state.requests);
  byId("requests-panel").hidden = state.requests.size === 0;
  renderPairs("usage", [state.usage], usagePairs);
  renderPairs("values", [state.metadata, state.custom], valuePairs);
  renderOutcome(state, status);
  renderResult(state);
}
