// What is public, in one place.

export { ProgressClient } from "./client.js";
export { ProgressError } from "./errors.js";
export { emptyState, Fold, fold, LIMITS } from "./fold.js";
export { websocketUrl } from "./url.js";
