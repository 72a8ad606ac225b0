// What can go wrong between a page and its server: one class, whose message is a sentence for people.

export class ProgressError extends Error {
  constructor(kind, message, { retryable = false, status = null, closeCode = null, code = null, session = null } = {}) {
    super(message);
    Object.assign(this, { name: "ProgressError", kind, retryable, status, closeCode, code, session });
  }
}
