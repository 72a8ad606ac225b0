// What can go wrong between a page and its server: one class, whose message is a sentence for people.

export class ProgressError extends Error {
  name = "ProgressError";
  retryable = false;
  status = null;
  closeCode = null;
  code = null;
  session = null;

  constructor(kind, message, more) {
    super(message);
    Object.assign(this, more, { kind });
  }
}

/** What may be over soon. */
export const passing = (kind, message) => new ProgressError(kind, message, { retryable: true });
