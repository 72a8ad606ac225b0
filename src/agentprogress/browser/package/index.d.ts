export { ProgressClient } from "./client.js";
export type { ClientOptions, ClientSnapshot, Connection, ConnectionState, ProducerState, Token, Transport } from "./client.js";
export { ProgressError } from "./errors.js";
export type { ErrorKind } from "./errors.js";
export { emptyState, Fold, fold, LIMITS } from "./fold.js";
export type { FoldLimits } from "./fold.js";
export { websocketUrl } from "./url.js";
export type * from "./events.js";
