// Shows forms in a shadow root, as the element does, and keeps what they send where a test can read it.

import { createAnswerForm } from "./client/element-form.js";

const labels = {
  send: "Send", yes: "Yes", no: "No", one_per_line: "One per line", invalid_json: "This is no JSON.",
};
const root = document.querySelector("main").attachShadow({ mode: "open" });

window.sent = []; // JSON, as the client writes it
window.refusal = null;
window.isHeld = false;

async function submit(value) {
  window.sent.push(JSON.stringify(value));
  if (window.isHeld) await new Promise((resolve) => (window.release = resolve));
  if (window.refusal) throw new Error(window.refusal);
}

window.show = (...requests) => root.replaceChildren(...requests.map((request) => createAnswerForm(request, labels, submit)));
