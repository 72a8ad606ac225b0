// The fold: the vectors that all languages share, what stays the same object, what it keeps beyond the server, and that
// nothing throws. `test_fold_agreement.py` holds it against the server's fold.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { emptyState, Fold, fold, LIMITS } from "../../src/agentprogress/browser/package/fold.js";

const { cases } = JSON.parse(readFileSync(new URL("../vectors/folding.json", import.meta.url), "utf8"));
const AMPLE = { ...LIMITS, max_logs: 1e4, max_log_bytes: 1e7, max_record_bytes: 1e7 };

const sent = (value) => JSON.parse(JSON.stringify(value));
const timeOf = (seq) => `2026-11-22T19:30:${String(seq).padStart(2, "0")}.000Z`;
const numbered = (events, first = 1) => events.map((event, n) => ({ seq: first + n, time: timeOf(first + n), ...event }));
const empty = () => emptyState("job-7", "I9kYN9ZwS0");

function folded(events, limits, state = empty()) {
  const made = new Fold(state, limits);
  for (const event of events) made.apply(event);
  return made;
}

function frozen(value) {
  if (value && typeof value === "object") Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}

for (const { name, limits, events, expect } of cases) {
  test(`${name}, however it is cut`, () => {
    const all = numbered(events);
    const expected = { ...folded(all, limits).state, ...expect };
    for (let cut = 0; cut <= all.length; cut += 1) {
      const half = sent(folded(all.slice(0, cut), limits).state);
      assert.deepEqual(folded(all.slice(cut), limits, half).state, expected, `cut at ${cut}`);
    }
    assert.deepEqual(all.reduce((state, event) => fold(state, event, limits), empty()), expected);
  });
}

// One of everything, so that what is left alone can be seen.
const RUN = numbered([
  { type: "session.started", title: "Report", metadata: { a: 1 }, plan: [{ name: "write", step_id: "w" }] },
  { type: "step.started", step_id: "r", name: "read" },
  { type: "step.started", step_id: "e", name: "earlier" },
  { type: "step.failed", step_id: "e", error: { code: "x", message: "It failed." } },
  { type: "text.delta", message_id: "t", delta: "Hello" },
  { type: "text.delta", message_id: "u", delta: "Hello" },
  { type: "log.message", message: "a" },
  { type: "artifact.created", artifact_id: "a", name: "a.csv", media_type: "text/csv" },
  { type: "input.requested", request_id: "q", prompt: "Go on?" },
  { type: "usage.reported", input_tokens: 1, cost: 0.5 },
  { type: "custom.emitted", name: "quote", data: { price: 1 } },
]);

const NEWS = [
  [{ type: "step.progress", step_id: "r", current: 1, total: 2 }, "progress steps"],
  [{ type: "step.started", step_id: "n", name: "new" }, "progress steps"],
  [{ type: "step.completed", step_id: "w" }, "progress steps"],
  [{ type: "text.delta", message_id: "t", delta: "!" }, "texts"],
  [{ type: "text.completed", message_id: "u" }, "texts"],
  [{ type: "log.message", message: "b" }, "logs"],
  [{ type: "artifact.created", artifact_id: "b", name: "b.csv", media_type: "text/csv" }, "artifacts"],
  [{ type: "input.requested", request_id: "p", prompt: "Really?" }, "requests"],
  [{ type: "input.resolved", request_id: "q" }, "requests"],
  [{ type: "usage.reported", output_tokens: 1 }, "usage"],
  [{ type: "custom.emitted", name: "other" }, "custom"],
  [{ type: "cancel.requested" }, "cancel_requested"],
  [{ type: "session.waiting", request_id: "q" }, "status"],
  [{ type: "step.progress", step_id: "unknown", current: 1 }, ""],
  [{ type: "step.progress", step_id: "e", current: 1 }, ""],
  [{ type: "step.started", step_id: "r", name: "again" }, ""],
  [{ type: "text.completed", message_id: "unknown" }, ""],
  [{ type: "input.resolved", request_id: "unknown" }, ""],
  [{ type: "artifact.created", artifact_id: 5, name: "b.csv", media_type: "text/csv" }, ""],
  [{ type: "events.dropped", by_type: { "log.message": 3 } }, ""],
  [{ type: "quote.made" }, ""],
];

for (const [event, changed] of NEWS) {
  test(`${JSON.stringify(event)} changes ${changed || "nothing"} and leaves the rest the same objects`, () => {
    const live = folded(RUN);
    const before = frozen(live.state);
    const [news] = numbered([event], RUN.length + 1);
    live.apply(news);
    for (const after of [live.state, fold(before, news)]) {
      const names = Object.keys(after).filter((name) => after[name] !== before[name]);
      assert.deepEqual(names.sort(), `seq ${changed}`.trim().split(" ").sort());
      for (const name of ["steps", "texts", "logs", "artifacts"]) {
        const others = before[name].filter((record) => !after[name].includes(record));
        const ids = others.map((record) => record.step_id ?? record.message_id);
        assert.deepEqual(ids, ids.length ? [event.step_id ?? event.message_id] : [], `${name} are other records`);
      }
    }
  });
}

test("a state is the same object until something is applied, and is never changed", () => {
  const live = new Fold(empty());
  for (const event of RUN) {
    const before = live.state;
    const copy = sent(frozen(before));
    assert.equal(live.state, before);
    live.apply(event);
    assert.notEqual(live.state, before);
    assert.deepEqual(before, copy);
  }
});

test("all of a state that is gone on from stays the same objects", () => {
  const state = sent(folded(RUN).state);
  const after = new Fold(frozen(state)).state;
  for (const name of Object.keys(state)) assert.equal(after[name], state[name], name);
});

test("nothing after the end counts but the seq", () => {
  const live = folded([...RUN, ...numbered([{ type: "session.failed", error: { code: "x" } }], 12)]);
  const before = live.state;
  for (const event of numbered(NEWS.map(([event]) => event), 13)) live.apply(event);
  assert.deepEqual({ ...live.state, seq: before.seq }, before);
  assert.equal(live.state.steps, before.steps);
});

// Beyond the server's

test("without being asked for detail it keeps what the server keeps", () => {
  const events = numbered([
    { type: "step.started", step_id: "a", name: "a" },
    { type: "step.cancelled", step_id: "a", reason: "Too slow." },
    { type: "log.message", message: "m", fields: { a: 1 } },
    { type: "session.cancelled", reason: "Enough." },
  ]);
  const plain = folded(events).state;
  assert.ok(!("reason" in plain) && !("reason" in plain.steps[0]) && !("fields" in plain.logs[0]));
  const full = folded(events, { detail: true }).state;
  assert.deepEqual([full.reason, full.steps[0].reason, full.logs[0].fields], ["Enough.", "Too slow.", { a: 1 }]);
  const late = fold(full, { seq: 5, type: "log.message" }, { detail: true });
  assert.deepEqual(late, { ...full, seq: 5 });
  assert.equal(late.logs, full.logs);
});

test("detail of the wrong type is null, and fields count as what a line weighs", () => {
  const events = numbered([
    { type: "log.message", message: "m", fields: [1] },
    { type: "log.message", message: "m", fields: { a: "x".repeat(500) } },
    { type: "session.lost", reason: 5 },
  ]);
  const state = folded(events, { detail: true, max_log_bytes: 700 }).state;
  assert.deepEqual([state.logs.length, state.omitted.logs, state.reason], [1, 1, null]);
  assert.equal(folded(events.slice(0, 1), { detail: true }).state.logs[0].fields, null);
});

test("a text longer than its bound is whole where it is asked for, its last code points", () => {
  const limits = { max_text_chars: 10 };
  const whole = "a😀語é".repeat(40);
  for (const asked of [true, false]) {
    const live = new Fold(empty(), limits);
    [...whole].forEach((delta, index) => {
      live.apply({ seq: index + 1, type: "text.delta", message_id: "t", delta });
      if (asked) live.state;
    });
    const [{ text, cut }] = live.state.texts;
    assert.deepEqual([text, cut], [[...whole].slice(-10).join(""), 150]);
  }
});

test("a text that is streamed in pieces of any kind is the same as one that came at once", () => {
  const whole = "a😀語é".repeat(999);
  const deltas = whole.match(/.{1,7}/gsu);
  const live = folded(deltas.map((delta, index) => ({ seq: index + 1, type: "text.delta", message_id: "t", delta })));
  assert.equal(live.state.texts[0].text, whole);
});

// Jumping

const LINE = { type: "log.message", message: "m" };
const lines = (first, last) => numbered(Array(last - first + 1).fill(LINE), first);

test("a jump takes the server's state, and keeps the lines that are here", () => {
  const all = [...lines(1, 60), { seq: 61, type: "step.started", step_id: "s", name: "s" }, ...lines(62, 99)];
  const server = sent(folded(all).state);
  const live = folded(all.slice(0, 45), { ...AMPLE, detail: true });
  const kept = live.state.logs;
  live.jump(server);
  const seqs = live.state.logs.map(({ seq }) => seq);
  assert.deepEqual(seqs, [...kept.map(({ seq }) => seq), ...server.logs.map(({ seq }) => seq).filter((seq) => seq > 45)]);
  for (const [index, line] of kept.entries()) assert.equal(live.state.logs[index], line);
  assert.deepEqual(live.state.steps, server.steps);
  // 98 lines were said; 45 and the last 50 of them are here.
  assert.deepEqual([server.omitted.logs, live.state.omitted.logs], [48, 3]);
  live.apply({ seq: 100, type: "log.message", message: "last" });
  assert.deepEqual([live.state.logs.length, live.state.omitted.logs], [96, 3]);
});

test("a jump to what is here already leaves out nothing", () => {
  const all = lines(1, 99);
  const live = folded(all, AMPLE);
  live.jump(sent(folded(all).state));
  assert.equal(live.state.logs.length, 99);
  assert.equal(live.state.omitted.logs, 0);
});

test("a jump keeps no more lines than there may be", () => {
  const live = folded(lines(1, 40));
  live.jump(sent(folded(lines(1, 60)).state));
  assert.deepEqual(live.state.logs.map(({ seq }) => seq), lines(11, 60).map(({ seq }) => seq));
  assert.equal(live.state.omitted.logs, 10);
});

// Bounds

test("the ten-thousandth line and all after it let one go each, whatever has been asked for", () => {
  const live = new Fold(empty(), AMPLE);
  for (const event of lines(1, 30_500)) live.apply(event);
  assert.equal(live.state.logs.length, 10_000);
  assert.deepEqual([live.state.logs[0].seq, live.state.logs.at(-1).seq], [20_501, 30_500]);
  assert.deepEqual(live.state.omitted, { logs: 20_500 });
});

const WEIGHTS = [
  ["", 2], ["a b", 5], ['"', 4], ["\\", 4], ["\n", 4], ["\u001f", 8], ["\u007f", 3], ["é", 4], ["語", 5], ["😀", 6],
  [0, 24], [-1.5e300, 24], [true, 5], [false, 5], [null, 5], [[], 2], [[1, [null]], 36], [{}, 2], [{ é: { a: 1 } }, 39],
];

for (const [data, bytes] of WEIGHTS) {
  test(`${JSON.stringify(data)} weighs ${bytes}`, () => {
    const keep = (most) => folded(numbered([{ type: "custom.emitted", name: "x", data }]), { max_value_bytes: most }).state;
    assert.deepEqual([keep(bytes).custom, keep(bytes).omitted], [{ x: data }, {}]);
    assert.deepEqual([keep(bytes - 1).custom, keep(bytes - 1).omitted], [{ x: null }, { custom_data: 1 }]);
  });
}

test("of kinds that weigh the same, the first goes", () => {
  // Both weigh 96.
  const events = [
    { type: "custom.emitted", name: "c", data: "x".repeat(89) },
    { type: "artifact.created", artifact_id: "a", name: "abc", media_type: "b" },
  ];
  for (const order of [events, [...events].reverse()]) {
    assert.deepEqual(folded(numbered(order), { max_record_bytes: 192 }).state.omitted, {});
    assert.deepEqual(folded(numbered(order), { max_record_bytes: 191 }).state.omitted, { artifacts: 1 });
  }
});

test("a state that is too large for narrower limits is cut to them, and says so", () => {
  const limits = { max_steps: 1, max_texts: 1, max_logs: 0, max_artifacts: 1, max_requests: 1, max_custom: 1 };
  const { steps, texts, logs, omitted } = new Fold(frozen(sent(folded(RUN).state)), limits).state;
  assert.deepEqual([steps.length, texts.length, logs.length], [1, 1, 0]);
  assert.deepEqual(omitted, { steps: 2, steps_weight: 2, steps_done: 1, texts: 1, logs: 1 });
});

// Odd data

const NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty"];

test("names of an object's own machinery are names like others", () => {
  const events = numbered(NAMES.flatMap((name) => [
    { type: name },
    { type: "step.started", step_id: name, name },
    { type: "step.progress", step_id: name, current: 1, total: 2 },
    { type: "text.delta", message_id: name, delta: name },
    { type: "artifact.created", artifact_id: name, name, media_type: name, data: JSON.parse(`{"${name}": 1}`) },
    { type: "input.requested", request_id: name, prompt: name },
    { type: "usage.reported", cost: 2, currency: name },
    { type: "custom.emitted", name, data: { polluted: true } },
  ]));
  const state = folded(events, {}, sent(folded(events).state)).state;
  for (const name of NAMES) {
    assert.equal(Object.getOwnPropertyDescriptor(state.usage.costs, name).value, 4);
    assert.deepEqual(Object.getOwnPropertyDescriptor(state.custom, name).value, { polluted: true });
  }
  assert.deepEqual(state.steps.map(({ step_id }) => step_id), NAMES);
  assert.equal(Object.getPrototypeOf(state.custom), Object.prototype);
  assert.equal({}.polluted, undefined);
});

// Marsaglia's xorshift: the same numbers in every run.
function seeded(seed) {
  let bits = seed;
  return (below) => {
    bits ^= bits << 13;
    bits ^= bits >>> 17;
    bits ^= bits << 5;
    return (bits >>> 0) % below;
  };
}

// What a state and its records are made of, and what objects answer to when they are taken for a number or a text.
const RECORDS = ["steps", "texts", "logs", "artifacts", "requests"];
const KEYS = [
  ...Object.keys(empty()), ...RUN.flatMap(Object.keys), ...RECORDS.flatMap((name) => Object.keys(folded(RUN).state[name][0])),
  "costs", "steps_weight", "steps_done", "valueOf", "toString", "length", "toJSON", "__proto__", "then",
];
const LEAVES = [null, true, 0, -1, 1.5, 1e400, 2 ** 53, "", "a", "running", "\ud800", "😀", "completed"];

function oddJson(draw, depth) {
  if (!depth || draw(4) === 0) return LEAVES[draw(LEAVES.length)];
  const items = Array.from({ length: draw(5) }, () => [KEYS[draw(KEYS.length)], oddJson(draw, depth - 1)]);
  return draw(3) ? Object.fromEntries(items) : items.map(([, item]) => item);
}

/** A copy in which some of the values are others. */
function spoiled(draw, value) {
  if (draw(12) === 0) return oddJson(draw, 3);
  if (Array.isArray(value)) return value.map((item) => spoiled(draw, item));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, spoiled(draw, item)]));
}

function use(state, events, limits) {
  const live = new Fold(state, limits);
  for (const event of events) {
    live.apply(event);
    assert.equal(typeof JSON.stringify(live.state), "string");
  }
  live.jump(state);
  for (const name of RECORDS) assert.ok(Array.isArray(live.state[name]), name);
  for (const name of ["usage", "custom", "omitted"]) assert.ok(live.state[name] && !Array.isArray(live.state[name]), name);
}

test("no snapshot and no event that is JSON makes it throw", () => {
  const known = sent(folded(RUN, { detail: true }).state);
  const more = [...RUN, ...numbered(NEWS.map(([event]) => event), 12), ...numbered([{ type: "session.lost" }], 60)];
  for (let seed = 1; seed <= 1500; seed += 1) {
    const draw = seeded(seed);
    const limits = { detail: seed % 2 === 0, max_text_chars: 3, max_record_bytes: 1 + draw(3000), max_steps: 1 + draw(4) };
    try {
      use(seed % 3 ? spoiled(draw, known) : oddJson(draw, 5), more.map((event) => spoiled(draw, event)), limits);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});

test("members of a wrong type are as good as absent", () => {
  const odd = {
    session_id: 1, seq: "1", status: null, attempt: [], steps: {}, logs: "a", usage: { costs: 1 }, custom: [],
    omitted: { logs: "1" },
  };
  assert.deepEqual(new Fold(odd).state, emptyState("", ""));
  for (const nothing of [null, undefined, 5, "text", [], {}]) assert.deepEqual(new Fold(nothing).state, emptyState("", ""));
});

test("data may be as deep as it likes", () => {
  const data = JSON.parse(`${"[".repeat(50_000)}${"]".repeat(50_000)}`);
  const live = folded(numbered([{ type: "custom.emitted", name: "deep", data }, { type: "session.completed", result: 1 }]));
  assert.deepEqual([live.state.custom, live.state.omitted], [{ deep: null }, { custom_data: 1 }]);
  assert.equal(new Fold({ ...empty(), custom: { deep: data } }, { max_record_bytes: 1000 }).state.omitted.custom, 1);
});

test("a fold that may keep no text takes text", () => {
  const made = folded(numbered([{ type: "text.delta", message_id: "m", delta: "hello" }]), { max_texts: 0 });
  assert.deepEqual([made.state.texts, made.state.omitted], [[], { texts: 1 }]);
});
