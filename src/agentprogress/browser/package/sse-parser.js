// Server-sent events, read by WHATWG's rules from bytes in whatever pieces they come: fetch has no reader for them.
// Bounded: comments and unknown fields count too. Linear: every byte is looked at once.

const MAX_MESSAGE_BYTES = 524288;
const LF = 10;
const CR = 13;

export class SseParser {
  lastId = "";
  retryMs = null;
  #maxBytes;
  #bytes = 0; // of the message so far
  #line = "";
  #data = "";
  #event = "";
  #id = "";
  #isAfterCr = false;
  #isBegun = false;
  // Line by line, where a decoder would drop every byte order mark. A line's end is never within a character.
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(maxMessageBytes = MAX_MESSAGE_BYTES) {
    this.#maxBytes = maxMessageBytes;
  }

  feed(chunk) {
    const messages = [];
    let start = 0;
    chunk.forEach((byte, at) => {
      // A CR ends its line at once. That an LF belongs to it is only seen later.
      if (byte === LF && this.#isAfterCr) start += 1;
      else if (byte === LF || byte === CR) {
        this.#take(chunk.subarray(start, at), false);
        this.#endLine(messages);
        start = at + 1;
      }
      this.#isAfterCr = byte === CR;
    });
    this.#take(chunk.subarray(start), true);
    return messages;
  }

  #take(bytes, stream) {
    this.#line += this.#decoder.decode(bytes, { stream });
    this.#count(bytes.length);
  }

  #count(bytes) {
    this.#bytes += bytes;
    if (this.#bytes > this.#maxBytes) throw new RangeError(`A message has more than ${this.#maxBytes} bytes.`);
  }

  #endLine(messages) {
    const line = this.#isBegun ? this.#line : this.#line.replace(/^\ufeff/, "");
    this.#isBegun = true;
    this.#line = "";
    if (!line) return this.#dispatch(messages);
    this.#count(1);
    // A comment is a field without a name.
    const [, name, value] = /^([^:]*):? ?(.*)/s.exec(line);
    if (name === "data") this.#data += `${value}\n`;
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retryMs = Math.min(value, Number.MAX_SAFE_INTEGER);
  }

  /** Ends the message at an empty line; without data it only sets the id. */
  #dispatch(messages) {
    this.lastId = this.#id;
    if (this.#data) messages.push({ event: this.#event || "message", data: this.#data.slice(0, -1), id: this.#id });
    this.#data = this.#event = "";
    this.#bytes = 0;
  }
}
