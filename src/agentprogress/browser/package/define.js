// Defines `<agent-progress>` when it is imported; twice, or on a server, does nothing.

import { AgentProgressElement } from "./element.js";

if (globalThis.customElements && !customElements.get("agent-progress")) {
  customElements.define("agent-progress", AgentProgressElement);
}

export { AgentProgressElement };
