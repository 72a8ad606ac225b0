// Server-sent events by WHATWG's rules: the vectors that all readers share, cut in every way, and the bound.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { SseParser } from "../../src/agentprogress/browser/package/sse-parser.js";

const { cases } = JSON.parse(readFileSync(new URL("../vectors/sse.json", import.meta.url), "utf8"));
const encode = (text) => new TextEncoder().encode(text);
const bytesOf = ({ stream, hex }) => (hex === undefined ? encode(stream) : Uint8Array.from(Buffer.from(hex, "hex")));

function readAll(bytes, cuts) {
  const parser = new SseParser();
  const messages = [0, ...cuts].flatMap((from, index) => parser.feed(bytes.slice(from, cuts[index])));
  return { messages, last_id: parser.lastId, retry: parser.retryMs };
}

for (const vector of cases) {
  test(`${vector.name}, however it is cut`, () => {
    const bytes = bytesOf(vector);
    const everywhere = [...bytes.keys()];
    const { messages, last_id, retry } = vector;
    const once = everywhere.flatMap((at) => [[at], [at, at, at + 1]]);
    for (const cuts of [[], vector.cuts, everywhere, ...once]) {
      assert.deepEqual(readAll(bytes, cuts), { messages, last_id, retry }, `cut at ${cuts}`);
    }
  });
}

test("a message is there as soon as its last byte is, also where lines end in CR", () => {
  const parser = new SseParser();
  assert.deepEqual(parser.feed(encode("data: a\r\n\r")), [{ event: "message", data: "a", id: "" }]);
  assert.deepEqual(parser.feed(encode("\ndata: b\n")), []);
  assert.deepEqual(parser.feed(encode("\n")), [{ event: "message", data: "b", id: "" }]);
});

test("a character that is cut by the end of its line does not reach into the next line", () => {
  const bytes = Uint8Array.from([...encode("data: a"), 0xf0, 0x9f, 0x0a, ...encode("data: b\n\n")]);
  for (const cuts of [[], [...bytes.keys()]]) assert.equal(readAll(bytes, cuts).messages[0].data, "a\ufffd\nb");
});

test("the buffer of a chunk may be used again", () => {
  const parser = new SseParser();
  const chunk = encode("data: ab");
  parser.feed(chunk);
  chunk.fill(0x78);
  assert.equal(parser.feed(encode("\n\n"))[0].data, "ab");
});

test("a retry of too many digits is the most that is exact", () => {
  const parser = new SseParser();
  parser.feed(encode(`retry: ${"9".repeat(5000)}\n`));
  assert.equal(parser.retryMs, Number.MAX_SAFE_INTEGER);
});

const LINES = "data: é\n: hello\nunknown\n"; // 9 + 8 + 8 bytes

for (const cuts of [[], [3], [...encode(LINES).keys()]]) {
  test(`the lines of a message may have so many bytes together, cut at ${cuts}`, () => {
    const bytes = encode(`${LINES}\n${LINES}\n`);
    const feedAll = (most) => {
      const parser = new SseParser(most);
      return [0, ...cuts].flatMap((from, index) => parser.feed(bytes.slice(from, cuts[index])));
    };
    assert.equal(feedAll(25).length, 2);
    assert.throws(() => feedAll(24), RangeError);
  });
}

test("a line without an end is refused as soon as it is too long", () => {
  const parser = new SseParser(1000);
  parser.feed(new Uint8Array(1000).fill(0x61));
  assert.throws(() => parser.feed(encode("a")), RangeError);
});

test("half a mebibyte is the bound where none is given", () => {
  const line = new Uint8Array(524288).fill(0x61);
  assert.deepEqual(new SseParser().feed(line), []);
  assert.throws(() => new SseParser().feed(Uint8Array.from([...line, 0x61])), RangeError);
});
