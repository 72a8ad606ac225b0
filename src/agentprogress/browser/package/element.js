// `<agent-progress src="…/sessions/{id}">`. What follows the session is a `ProgressClient`, what shows it a view; here they are
// made, replaced and drawn, at most once a frame: a hidden page has no frames, and so costs nothing.

import { ProgressClient } from "./client.js";
import { el, make } from "./element-dom.js";
import { LABELS, translator } from "./element-labels.js";
import { STYLES } from "./element-styles.js";
import { createView } from "./element-view.js";

export { LABELS };

const TICK_MS = 1000;
const ATTRIBUTES = ["src", "transport", "credentials", "readonly"];
const sheets = new WeakMap();

/** Adopted, not written into the document, which a content policy may forbid; each window takes its own sheets only. */
function sheetOf(view) {
  if (!sheets.has(view)) {
    sheets.set(view, new view.CSSStyleSheet());
    sheets.get(view).replaceSync(STYLES);
  }
  return sheets.get(view);
}

// On a server, where it is never made, it can be imported all the same.
export class AgentProgressElement extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ATTRIBUTES;

  #client = null;
  #options = { token: null };
  #labels = {};
  #view = null;
  #leave;
  #timer;
  #frame = null;

  connectedCallback() {
    for (const name of [...ATTRIBUTES, "token", "labels"]) {
      // Set before the element was defined, where it hides the accessor.
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [sheetOf(this.ownerDocument.defaultView)];
    this.#begin();
  }

  disconnectedCallback() {
    this.#leave?.();
    clearInterval(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
  }

  attributeChangedCallback(name, before, now) {
    if (before !== now) this.#restart(name === "readonly" ? this.#client : null);
  }

  get client() {
    const { src, transport } = this;
    if (src) {
      this.#client ??= new ProgressClient(src, Object.assign(this.#options, {
        transport: transport || "auto",
        credentials: this.credentials ?? undefined,
        onComplete: (detail) => this.dispatchEvent(new CustomEvent("complete", { detail })),
      }));
    }
    return this.#client;
  }

  get readonly() {
    return this.hasAttribute("readonly");
  }

  set readonly(value) {
    this.toggleAttribute("readonly", !!value);
  }

  get token() {
    return this.#options.token;
  }

  /** The client looks it up when it needs one; something else in the place of a refused one is tried at once. */
  set token(value) {
    const isNew = value !== this.token && typeof value !== "function";
    this.#options.token = value;
    if (isNew) this.#client?.retryNow();
  }

  get labels() {
    return this.#labels;
  }

  set labels(value) {
    this.#labels = value ?? {};
    this.#restart(this.#client);
  }

  /** Begins with another client, or with the same one in other words. */
  #restart(client = null) {
    this.disconnectedCallback();
    this.#view = null;
    if (this.#client !== client) this.#client.close();
    this.#client = client;
    if (this.shadowRoot && this.isConnected) this.#begin();
  }

  #begin() {
    const redraw = () => this.#plan();
    let sentence = translator(this.#labels)("nothing");
    try {
      const { client } = this;
      if (client) {
        this.#view ??= createView(client, this.#labels, this.readonly, redraw);
        this.#leave = client.subscribe(redraw);
        this.#timer = setInterval(redraw, TICK_MS);
        redraw();
      }
    } catch (error) {
      sentence = error.message; // the address can be none
    }
    this.shadowRoot.replaceChildren(this.#view?.root ?? make(el("section.root", el("p.quiet", sentence))));
  }

  #plan() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      const focused = this.shadowRoot.activeElement;
      if (this.#view.draw()) this.#plan();
      // What had the focus may be gone: whoever works by keyboard goes on from here, not from the page's top.
      if (focused?.isConnected === false) this.#view.root.focus({ preventScroll: true });
    });
  }

  static {
    for (const name of ATTRIBUTES.slice(0, 3)) {
      Object.defineProperty(this.prototype, name, {
        get() {
          return this.getAttribute(name);
        },
        set(value) {
          if (value == null) this.removeAttribute(name);
          else this.setAttribute(name, value);
        },
      });
    }
  }
}
