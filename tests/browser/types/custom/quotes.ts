// Events of an application that has declared its own: `declared.d.ts` is what `agentprogress types` writes.

import { ProgressClient } from "agentprogress";
import type { SessionEvent, SessionSnapshot } from "agentprogress";
import type { Quote, Usage_ } from "./declared.js";

export function told(event: SessionEvent): string | number | null {
  if (event.type !== "custom.emitted") return event.seq;
  if (event.name === "quote") {
    const quote: Quote = event.data;
    // @ts-expect-error it may be unknown
    quote.price.length;
    // @ts-expect-error not one of its sides
    quote.side === "hold";
    return quote.legs[0]?.symbol ?? quote.price;
  }
  // @ts-expect-error a name that nobody has declared
  if (event.name === "quite") return null;
  switch (event.name) {
    case "usage/1":
      return event.data.tokens;
    case "ping":
      // @ts-expect-error there is nothing in it
      return event.data.anything;
    default:
      // @ts-expect-error of others nothing is known
      return event.data.price;
  }
}

export function last(session: SessionSnapshot): unknown[] {
  // @ts-expect-error there may be none yet, or it was too large
  session.custom.quote.symbol;
  const quote: Quote | null | undefined = session.custom.quote;
  const usage: Usage_ | null | undefined = session.custom["usage/1"];
  return [quote, usage?.tokens, session.custom["somebody's"], session.usage.input_tokens];
}

new ProgressClient("", { onEvent: (event) => event.type === "custom.emitted" && event.name === "quote" && event.data.legs.length });
