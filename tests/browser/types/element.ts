// The element, in a document and as a class.

import "agentprogress/define";
import { AgentProgressElement, LABELS } from "agentprogress/element";
import type { Labels } from "agentprogress/element";

const element = document.createElement("agent-progress");
element.src = "/sessions/s_1";
element.src = null;
element.readonly = true;
element.token = () => "secret";
element.transport = "auto";
element.labels = { ...LABELS, cancel: "Abbrechen" } satisfies Labels;
element.addEventListener("complete", (event) => event.detail.status.length);
element.addEventListener("click", (event) => event.preventDefault());
element.client?.retryNow();
document.querySelector("agent-progress")?.setAttribute("src", "");
export class Mine extends AgentProgressElement {}

// @ts-expect-error a session's URL is a text
element.src = 7;
// @ts-expect-error no transport of ours
element.transport = "http";
// @ts-expect-error the element makes its client
element.client = null;
// @ts-expect-error texts are texts
element.labels = { cancel: 7 };
element.addEventListener("complete", (event) => {
  // @ts-expect-error the event brings the session
  event.detail.stauts;
});
