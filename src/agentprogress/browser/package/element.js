// `<agent-progress src="…/sessions/{id}">`. What follows the session is a `ProgressClient`, what shows it a view; here they are
// made, replaced and drawn, at most once a frame: a hidden page has no frames, and so costs nothing.

import { ProgressClient } from "./client.js";
import { h } from "./element-dom.js";
import { LABELS, translator } from "./element-labels.js";
import { STYLES } from "./element-styles.js";
import { createView } from "./element-view.js";

export { LABELS };

const TICK_MS = 1000;
const PROPERTIES = ["src", "transport", "readonly", "token", "labels"];
let sheet;

/** Adopted, not written into the document, which a content policy may forbid. */
function styles() {
  if (sheet) return sheet;
  sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLES);
  return sheet;
}

// On a server, where it is never made, it can be imported all the same.
export class AgentProgressElement extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ["src", "transport", "readonly", "credentials"];

  #client;
  #failure = null; // why there can be no client
  #token = null;
  #labels = {};
  #view = null;
  #leave = null;
  #timer;
  #frame = null;

  connectedCallback() {
    for (const name of PROPERTIES) {
      // Set before the element was defined, where it hides the accessor.
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
    if (!this.shadowRoot) this.attachShadow({ mode: "open" }).adoptedStyleSheets = [styles()];
    this.#begin();
  }

  disconnectedCallback() {
    this.#end();
  }

  attributeChangedCallback(name, before, now) {
    if (before !== now) this.#restart();
  }

  get client() {
    if (this.#client === undefined) this.#client = this.#makeClient();
    return this.#client;
  }

  get src() {
    return this.getAttribute("src");
  }

  set src(value) {
    this.#reflect("src", value);
  }

  get transport() {
    return this.getAttribute("transport") ?? "auto";
  }

  set transport(value) {
    this.#reflect("transport", value);
  }

  get readonly() {
    return this.hasAttribute("readonly");
  }

  set readonly(value) {
    this.toggleAttribute("readonly", Boolean(value));
  }

  get token() {
    return this.#token;
  }

  set token(value) {
    const before = this.#token;
    this.#token = value;
    // A page that draws anew often makes the same function again: the next one is asked when a token is needed.
    if (value !== before && !(typeof value === "function" && typeof before === "function")) this.#restart();
  }

  get labels() {
    return this.#labels;
  }

  set labels(value) {
    this.#labels = value ?? {};
    this.#restart(false);
  }

  #reflect(name, value) {
    if (value === null || value === undefined) this.removeAttribute(name);
    else this.setAttribute(name, value);
  }

  #makeClient() {
    this.#failure = null;
    if (!this.src) return null;
    const { transport } = this;
    try {
      return new ProgressClient(this.src, {
        token: typeof this.#token === "function" ? () => this.#token() : this.#token,
        transport,
        credentials: this.getAttribute("credentials") ?? undefined,
        onComplete: (detail) => this.dispatchEvent(new CustomEvent("complete", { detail })),
      });
    } catch (error) {
      this.#failure = error;
      return null;
    }
  }

  #restart(isOther = true) {
    this.#end();
    this.#view = null;
    if (isOther) {
      this.#client?.close();
      this.#client = undefined;
    }
    if (this.isConnected && this.shadowRoot) this.#begin();
  }

  #begin() {
    const draw = () => this.#plan();
    const { client } = this;
    this.#leave = client?.subscribe(draw);
    this.#timer = client && setInterval(draw, TICK_MS);
    if (!this.#view) this.#show(client, draw);
    draw();
  }

  #end() {
    this.#leave?.();
    clearInterval(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
  }

  #show(client, redraw) {
    const { labels, readonly } = this;
    if (!this.src) {
      this.shadowRoot.replaceChildren(h("section", { className: "ap", part: "root" }, h("p", { className: "quiet" }, translator(labels)("nothing"))));
      return;
    }
    this.#view = createView({ client, labels, isReadonly: readonly, redraw });
    this.shadowRoot.replaceChildren(this.#view.root);
  }

  #plan() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#draw();
    });
  }

  #draw() {
    if (!this.#view) return;
    const { shadowRoot } = this;
    const focused = shadowRoot.activeElement;
    if (this.#view.draw(this.#client?.getSnapshot() ?? failed(this.#failure))) this.#plan();
    // What had the focus may be gone or hidden: whoever works by keyboard goes on from here, not from the page's top.
    if (focused && (!focused.isConnected || focused.closest("[hidden]"))) this.#view.root.focus({ preventScroll: true });
  }
}

/** What a client would show that cannot be made. */
function failed(error) {
  const connection = { state: "gave_up", reason: error.message, error, retryAtMs: null, transport: "", offline: false };
  return { session: null, status: null, connection, producer: null, clockOffsetMs: 0, cursor: null };
}
