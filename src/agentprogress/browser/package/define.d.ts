// Defines `<agent-progress>` when it is imported.

export { AgentProgressElement } from "./element.js";
