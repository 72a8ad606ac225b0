// Events as they come, where an application has declared none of its own.

import type { Artifact, LogLine, SessionEvent, SessionSnapshot, SessionStatus, Step, StepKind, UnknownEvent } from "agentprogress";

/** True for equal types only. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const yes = <_ extends true>() => {};

export function told(event: SessionEvent): string {
  const type: string = event.type;
  switch (event.type) {
    case "session.started":
      return `${event.title?.length} ${event.plan?.[0]?.name} ${event.attempt + 1}`;
    case "step.started":
      return event.name + event.kind + (event.parent_id ?? "");
    case "step.failed":
      return event.error.message + String(event.error.detail);
    case "text.delta":
      return event.delta;
    case "log.message":
      return `${event.level} ${event.message} ${event.fields?.["ms"]}`;
    case "events.dropped":
      return Object.entries(event.by_type).map(([name, count]) => name + count.toFixed()).join();
    case "custom.emitted":
      if (event.name === "quote") {
        // @ts-expect-error nobody has said what is in it
        event.data.price;
      }
      return event.name + String(event.data);
    // @ts-expect-error there is no such type
    case "step.stardet":
      return type;
    default:
      return event.type;
  }
}

export function narrowed(event: SessionEvent): string | undefined {
  // @ts-expect-error not every event has one
  event.message;
  if (event.type === "step.progress") {
    // @ts-expect-error of another event
    event.delta;
    // @ts-expect-error events are never changed
    event.step_id = "";
    return event.message;
  }
  return event.time;
}

yes<Same<Extract<SessionEvent, { type: "session.lost" }>["last_seen"], string | undefined>>();

/** What is left when all that is known is done is the unknown, not nothing. */
export function later(event: UnknownEvent): boolean {
  const text: string = event.type;
  // @ts-expect-error as it is none of the known types
  if (event.type === "step.started") return true;
  return String(event.type) === "step.paused" && text.length > 0;
}

// Listed texts are offered, others may come.
const status: SessionStatus = "running";
export const another: SessionStatus = "hibernating";
export const kind: StepKind = "critic";
// @ts-expect-error not a text at all
export const wrong: StepKind = 7;
yes<Same<typeof status extends string ? true : false, true>>();

export function shown(session: SessionSnapshot<{ url: string }>): unknown[] {
  // @ts-expect-error it is null until there is one
  session.result.url;
  // @ts-expect-error a state is never changed
  session.steps.push();
  const steps: readonly Step[] = session.steps;
  const logs: readonly LogLine[] = session.logs;
  const artifact: Artifact | undefined = session.artifacts[0];
  return [session.result?.url, steps[0]?.progress?.toFixed(), logs[0]?.fields?.["ms"], artifact?.data, session.custom["quote"]];
}

// @ts-expect-error not a member
export const missing = (session: SessionSnapshot) => session.stpes;
