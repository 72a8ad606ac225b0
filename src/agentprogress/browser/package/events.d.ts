// What sessions are made of, as on the wire. Written from the models in Python, by
// scripts/event_types.py.

// So that only what says so is exported.
export {};

export type SessionStatus = "pending" | "running" | "waiting" | "completed" | "failed" | "cancelled" | "lost" | (string & {});

export type StepStatus = "planned" | "running" | "completed" | "failed" | "cancelled" | "lost" | "interrupted" | (string & {});

export type StepKind = "phase" | "agent" | "tool" | "model" | "step" | (string & {});

export type LogLevel = "debug" | "info" | "warning" | "error" | "critical" | (string & {});

export type TextChannel = "answer" | "reasoning" | (string & {});

export type InputOutcome = "answered" | "expired" | "cancelled" | (string & {});

/** What viewers may know of an error. */
export interface ErrorInfo {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly detail?: unknown;
}

/** A step known before it starts, so that overall progress has its full weight. */
export interface PlannedStep {
  readonly name: string;
  readonly kind: StepKind;
  readonly weight?: number;
  readonly step_id?: string;
}

/** What every event has. */
export interface EventBase {
  /** Its place in the log, contiguous from 1 in each epoch. */
  readonly seq: number;
  /** The producer's clock, UTC. */
  readonly time: string;
  /** How much was cut from its long fields. */
  readonly truncated_bytes?: number;
}

/** A phase, agent, tool call, model call or plain step began. */
export interface StepStarted extends EventBase {
  readonly type: "step.started";
  readonly step_id: string;
  readonly kind: StepKind;
  readonly name: string;
  readonly parent_id?: string;
  readonly total?: number;
  readonly unit?: string;
  readonly weight?: number;
  readonly input?: unknown;
}

/** How far a step is; a later one replaces what it names. */
export interface StepProgress extends EventBase {
  readonly type: "step.progress";
  readonly step_id: string;
  readonly current?: number;
  readonly total?: number;
  readonly message?: string;
}

/** A step ended well. */
export interface StepCompleted extends EventBase {
  readonly type: "step.completed";
  readonly step_id: string;
  readonly output?: unknown;
}

/** A step ended with an error; the session may go on. */
export interface StepFailed extends EventBase {
  readonly type: "step.failed";
  readonly step_id: string;
  readonly error: ErrorInfo;
}

/** A step was given up. */
export interface StepCancelled extends EventBase {
  readonly type: "step.cancelled";
  readonly step_id: string;
  readonly reason?: string;
}

/** More of a streamed text; `channel` is `answer` or `reasoning`. */
export interface TextDelta extends EventBase {
  readonly type: "text.delta";
  readonly message_id: string;
  readonly delta: string;
  readonly role?: string;
  readonly channel?: TextChannel;
  readonly step_id?: string;
}

/** A streamed text is whole. */
export interface TextCompleted extends EventBase {
  readonly type: "text.completed";
  readonly message_id: string;
}

/** One line for people. */
export interface LogMessage extends EventBase {
  readonly type: "log.message";
  readonly level: LogLevel;
  readonly message: string;
  readonly step_id?: string;
  readonly logger?: string;
  readonly fields?: { readonly [key: string]: unknown };
}

/** Something to keep: behind `url`, or small enough to travel as `data`. */
export interface ArtifactCreated extends EventBase {
  readonly type: "artifact.created";
  readonly artifact_id: string;
  readonly name: string;
  readonly media_type: string;
  readonly url?: string;
  readonly data?: unknown;
  readonly step_id?: string;
}

/** Tokens and cost of one model call; a snapshot holds the sums. */
export interface UsageReported extends EventBase {
  readonly type: "usage.reported";
  readonly model?: string;
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly cost?: number;
  readonly currency?: string;
  readonly step_id?: string;
}

/** The producer began; the first event of most epochs. */
export interface SessionStarted extends EventBase {
  readonly type: "session.started";
  readonly attempt: number;
  readonly title?: string;
  readonly metadata?: { readonly [key: string]: unknown };
  readonly plan?: readonly PlannedStep[];
}

/** Suspended until somebody answers the request. */
export interface SessionWaiting extends EventBase {
  readonly type: "session.waiting";
  readonly request_id: string;
}

/** Running again after a wait. */
export interface SessionResumed extends EventBase {
  readonly type: "session.resumed";
}

/** The run failed and another one will follow: back to pending, no end. */
export interface SessionRetrying extends EventBase {
  readonly type: "session.retrying";
  readonly attempt: number;
  readonly error: ErrorInfo;
  readonly retry_at?: string;
}

/** Terminal. A result over the inline limit is announced by `result_bytes` alone. */
export interface SessionCompleted extends EventBase {
  readonly type: "session.completed";
  readonly result?: unknown;
  readonly result_bytes?: number;
}

/** Terminal: an error ended the session. */
export interface SessionFailed extends EventBase {
  readonly type: "session.failed";
  readonly error: ErrorInfo;
}

/** Terminal: somebody ended the session. */
export interface SessionCancelled extends EventBase {
  readonly type: "session.cancelled";
  readonly reason?: string;
}

/** Terminal: the producer is gone. `last_seen` is its last proof of life. */
export interface SessionLost extends EventBase {
  readonly type: "session.lost";
  readonly last_seen?: string;
  readonly reason?: string;
}

/** A question to a person; `schema` is the JSON Schema of its answer. */
export interface InputRequested extends EventBase {
  readonly type: "input.requested";
  readonly request_id: string;
  readonly prompt: string;
  readonly schema?: { readonly [key: string]: unknown };
  readonly expires_at?: string;
}

/**
 * The question is settled: `answered`, `expired` or `cancelled`.
 *
 * `by` is who answered, where that is known.
 */
export interface InputResolved extends EventBase {
  readonly type: "input.resolved";
  readonly request_id: string;
  readonly outcome: InputOutcome;
  readonly value?: unknown;
  readonly by?: string;
}

/** Somebody asked the session to stop. */
export interface CancelRequested extends EventBase {
  readonly type: "cancel.requested";
  readonly reason?: string;
  readonly by?: string;
}

/** What an overflowing outbox gave up, by type. */
export interface EventsDropped extends EventBase {
  readonly type: "events.dropped";
  readonly by_type: { readonly [key: string]: number };
}

// An enum is a text that is none of the literals beside it; so a `switch` over those still tells
// them apart, which a plain `string` in the union would spoil. It is a type only.
declare enum Any {
  other = "",
}
/** A text that is none of those listed beside it. */
export type Unlisted = Any;

/** An event of a type that this version does not know. Compare its type by `String(event.type)`. */
export interface UnknownEvent extends EventBase {
  readonly type: Unlisted;
}

/**
 * The `data` of an application's own events, by their `name`. Empty until somebody declares them,
 * by hand or with `agentprogress types MODULE`:
 *
 *     declare module "agentprogress" {
 *       interface CustomEvents { quote: Quote }
 *     }
 */
export interface CustomEvents {}

type CustomName = keyof CustomEvents & string;

/** An event of an application's own, of one name. */
export interface CustomEmittedAs<Name extends string, Data> extends EventBase {
  readonly type: "custom.emitted";
  readonly name: Name;
  readonly data: Data;
}

/**
 * An event of an application's own. Once some are declared in `CustomEvents`, `name` tells their
 * `data`.
 */
export type CustomEmitted =
  | { [Name in CustomName]: CustomEmittedAs<Name, CustomEvents[Name]> }[CustomName]
  | CustomEmittedAs<[CustomName] extends [never] ? string : Unlisted, unknown>;

/** The last `data` of each custom event; null where it is too large for a snapshot. */
export type CustomData = { readonly [Name in CustomName]?: CustomEvents[Name] | null } & {
  readonly [name: string]: unknown;
};

/** Any event. `type` tells which. */
export type SessionEvent =
  | StepStarted
  | StepProgress
  | StepCompleted
  | StepFailed
  | StepCancelled
  | TextDelta
  | TextCompleted
  | LogMessage
  | ArtifactCreated
  | UsageReported
  | CustomEmitted
  | SessionStarted
  | SessionWaiting
  | SessionResumed
  | SessionRetrying
  | SessionCompleted
  | SessionFailed
  | SessionCancelled
  | SessionLost
  | InputRequested
  | InputResolved
  | CancelRequested
  | EventsDropped
  | UnknownEvent;

/** One step of the tree; `progress` is 0-1, or null while nobody knows. */
export interface Step {
  readonly step_id: string;
  readonly parent_id: string | null;
  readonly kind: StepKind;
  readonly name: string;
  readonly status: StepStatus;
  readonly current: number | null;
  readonly total: number | null;
  readonly unit: string | null;
  readonly weight: number | null;
  readonly message: string | null;
  readonly progress: number | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly error: ErrorInfo | null;
  /** Not from the server: kept by a client that has seen the event. */
  readonly reason?: string | null;
}

/** A streamed text: its last part; `cut` counts the code points before it. */
export interface Text {
  readonly message_id: string;
  readonly role: string | null;
  readonly channel: TextChannel | null;
  readonly step_id: string | null;
  readonly text: string;
  readonly cut: number;
  readonly done: boolean;
}

/** One of the last log messages. */
export interface LogLine {
  readonly seq: number;
  readonly time: string | null;
  readonly level: LogLevel;
  readonly message: string;
  readonly step_id: string | null;
  readonly logger: string | null;
  /** Not from the server: kept by a client that has seen the event. */
  readonly fields?: { readonly [key: string]: unknown } | null;
}

/** An artifact; `data` only when it is small, else its event has it. */
export interface Artifact {
  readonly artifact_id: string;
  readonly name: string;
  readonly media_type: string;
  readonly url: string | null;
  readonly data: unknown;
  readonly step_id: string | null;
}

/** A question that is still open. */
export interface InputRequest {
  readonly request_id: string;
  readonly prompt: string;
  readonly schema: { readonly [key: string]: unknown } | null;
  readonly expires_at: string | null;
}

/** Sums over all `usage.reported`; costs by currency. */
export interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly costs: { readonly [key: string]: number };
}

/** The state of a session after the event numbered `seq`. */
export interface SessionSnapshot<Result = unknown> {
  readonly session_id: string;
  readonly epoch: string;
  readonly seq: number;
  readonly status: SessionStatus;
  readonly attempt: number;
  readonly title: string | null;
  readonly metadata: { readonly [key: string]: unknown } | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  /** Weighted mean over planned and known top-level steps, 0-1, or null. */
  readonly progress: number | null;
  /** Inline result; null with `result_bytes` set means: ask for the result. */
  readonly result: Result | null;
  readonly result_bytes: number | null;
  readonly error: ErrorInfo | null;
  readonly cancel_requested: boolean;
  readonly steps: readonly Step[];
  readonly texts: readonly Text[];
  readonly logs: readonly LogLine[];
  readonly artifacts: readonly Artifact[];
  readonly requests: readonly InputRequest[];
  readonly usage: Usage;
  readonly custom: CustomData;
  /** How many of each kind the bounds left out. */
  readonly omitted: { readonly [key: string]: number };
  /** Not from the server: kept by a client that has seen the event. */
  readonly reason?: string | null;
}
