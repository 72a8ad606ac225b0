// The URLs that a client makes of a session's URL: the vectors that all clients share, and what only a page has.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { ProgressError } from "../../src/agentprogress/browser/package/errors.js";
import { SessionUrl, websocketUrl } from "../../src/agentprogress/browser/package/url.js";

const vectors = JSON.parse(readFileSync(new URL("../vectors/urls.json", import.meta.url), "utf8"));
const PAGE = "https://example.com/app/index.html?x=1#y";

for (const { url, expected } of vectors.websocket) {
  test(`${url} is followed at ${expected}`, () => assert.equal(websocketUrl(url), expected));
}

for (const { session, route, after, expected } of vectors.routes) {
  test(`${route || "the session"} of ${session} after ${after} is ${expected}`, () => {
    const url = new SessionUrl(session);
    assert.equal(route === "ws" ? url.websocket(after) : url.route(route, { after }), expected);
    assert.equal(url.sessionId, "a");
  });
}

for (const { url, page, expected } of vectors.relative) {
  test(`${url} on ${page} is ${expected}`, () => assert.equal(websocketUrl(url, page), expected));
}

for (const { url, why } of vectors.refused) {
  for (const make of [websocketUrl, (text) => new SessionUrl(text)]) {
    test(`${JSON.stringify(url)} is refused by ${make.name || "a session"}: ${why}`, () => {
      assert.throws(() => make(url), (error) => {
        assert.ok(error instanceof ProgressError);
        assert.equal(error.kind, "protocol");
        assert.equal(error.retryable, false);
        assert.match(error.message, /^The URL .*\.$/);
        assert.doesNotMatch(error.message, /example|8443|password\b.*@/, "a URL may be a secret");
        return true;
      });
    });
  }
}

test("a relative URL is resolved against the page where no other base is given", (t) => {
  t.after(() => {
    delete globalThis.document;
    delete globalThis.location;
  });
  globalThis.location = { href: PAGE };
  assert.equal(new SessionUrl("/progress/sessions/a").href, "https://example.com/progress/sessions/a");
  globalThis.document = { baseURI: "https://base.example/" };
  assert.equal(new SessionUrl("sessions/a").href, "https://base.example/sessions/a");
});

test("an absolute URL is kept as it is written, on a page too", () => {
  assert.equal(websocketUrl("HTTP://Example.com:80/a/../b?%7e", PAGE), "ws://Example.com:80/a/../b?%7e");
});

test("a URL object will do", () => {
  assert.equal(websocketUrl(new URL("https://example.com/sessions/a/ws")), "wss://example.com/sessions/a/ws");
});

test("the href is absolute, of HTTP, and has neither a fragment nor a slash at its end", () => {
  assert.equal(new SessionUrl("../sessions/a/?t=1#top", PAGE).href, "https://example.com/sessions/a?t=1");
  assert.equal(new SessionUrl("WSS://Example.com/Sessions/A//?").href, "https://Example.com/Sessions/A");
});

test("a session's id is the last segment of its path, decoded", () => {
  assert.equal(new SessionUrl("https://example.com/progress/sessions/a%2Eb~c/").sessionId, "a.b~c");
});

for (const text of ["https://example.com", "https://example.com/?a=/sessions/a", "https://example.com//#/sessions/a"]) {
  test(`${text} names no session`, () => assert.throws(() => new SessionUrl(text), ProgressError));
}

for (const text of ["", " ", "http://[::1", "//user@example.com/sessions/a", "mailto:a", "\\\\example.com\\a", "/sessions/%ff"]) {
  test(`${JSON.stringify(text)} is refused on a page too`, () => {
    assert.throws(() => new SessionUrl(text, PAGE), ProgressError);
  });
}

test("parameters that are null are left out, and others are encoded", () => {
  const url = new SessionUrl("https://example.com/sessions/a?t=%20");
  const page = url.route("page", { after: null, limit: 256, "a b": "ü&=#" });
  assert.equal(page, "https://example.com/sessions/a/page?t=%20&limit=256&a%20b=%C3%BC%26%3D%23");
  assert.equal(url.websocket(null), "wss://example.com/sessions/a/ws?t=%20");
});
