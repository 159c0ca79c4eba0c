// Events of a run as lines and as parts of a conversation.
import { h } from "./dom.js";

const NAMED = ["command", "file_path", "pattern", "url", "query", "prompt", "description"];

export const oneLine = (text, limit = 160) => {
  const flat = String(text ?? "").replace(/\s+/g, " ").trim();
  return flat.length > limit ? `${flat.slice(0, limit)}…` : flat;
};

const named = (input) => {
  const key = NAMED.find((name) => typeof input?.[name] === "string");
  return key ? input[key] : JSON.stringify(input ?? {});
};

export function line(event) {
  switch (event.type) {
    case "started": return `started on ${event.model}`;
    case "said": return oneLine(event.text);
    case "tool_called": return `→ ${event.name} ${oneLine(named(event.input))}`;
    case "tool_returned": return event.is_error ? `✗ ${oneLine(event.text)}` : "";
    case "model_retried": return `! the model's API: ${event.error}`;
    case "warned": return `! ${event.text}`;
    default: return "";
  }
}

// Adds events to a conversation; pieces of text grow until their whole block follows.
export class Conversation {
  constructor() {
    this.element = h("div", { class: "talk", "aria-live": "polite" });
    this.growing = null;
    this.tools = new Map();
  }

  add(event) {
    switch (event.type) {
      case "started": this.put(h("p", { class: "dim" }, `started on ${event.model}`)); break;
      case "text_delta": this.grow("said", event.text); break;
      case "thinking_delta": this.grow("thought", event.text); break;
      case "said": this.whole("said", event.text); break;
      case "thought": this.whole("thought", event.text); break;
      case "tool_called": this.called(event); break;
      case "tool_returned": this.returned(event); break;
      case "model_retried": this.put(h("p", { class: "warn" }, `the model's API: ${event.status || ""} ${event.error}; attempt ${event.attempt} in ${event.delay_seconds.toFixed(1)} s`)); break;
      case "warned": this.put(h("p", { class: "warn" }, event.text)); break;
    }
  }

  put(element) {
    this.element.append(element);
  }

  grow(kind, text) {
    if (this.growing?.className !== kind) this.put((this.growing = h("div", { class: kind })));
    this.growing.append(text);
  }

  whole(kind, text) {
    const target = this.growing?.className === kind ? this.growing : null;
    this.growing = null;
    target ? (target.textContent = text) : this.put(h("div", { class: kind }, text));
  }

  called(event) {
    this.growing = null;
    const details = h("details", { class: "tool" }, h("summary", {}, `→ ${event.name} ${oneLine(named(event.input))}`), h("pre", {}, JSON.stringify(event.input, null, 2)));
    this.tools.set(event.id, details);
    this.put(details);
  }

  returned(event) {
    const details = this.tools.get(event.id);
    const output = h("pre", { class: event.is_error ? "bad" : "" }, event.text);
    if (!details) return this.put(output);
    details.append(output);
    if (event.is_error) details.querySelector("summary").classList.add("bad");
  }
}
