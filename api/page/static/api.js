// Calls the service with the token, which is asked for once and kept in this browser.
import { h } from "./dom.js";

const KEY = "agent-service-token";
let asking = null;

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function request(path, options = {}) {
  for (;;) {
    const token = localStorage.getItem(KEY);
    if (!token) await askForToken("");
    const headers = { ...options.headers, authorization: `Bearer ${localStorage.getItem(KEY)}` };
    const answer = await fetch(path, { ...options, headers });
    if (answer.status !== 401) return answer;
    const { detail } = await answer.json();
    await askForToken(detail === "Service unauthenticated" ? "The service has no token: set API_BEARER_TOKEN where it runs, and restart it." : "That is not the token of this service.");
  }
}

function askForToken(problem) {
  localStorage.removeItem(KEY);
  asking ||= new Promise((resolve) => {
    const input = h("input", { type: "password", "aria-label": "Token", autocomplete: "current-password", required: true });
    const form = h("form", { method: "dialog" },
      h("strong", {}, "Token of this service"), h("p", { class: "bad" }, problem),
      h("p", { class: "dim" }, "The value of API_BEARER_TOKEN. It is kept in this browser, and sent to this service alone."),
      input, h("button", {}, "Open"));
    const dialog = h("dialog", { oncancel: (event) => event.preventDefault() }, form);
    form.addEventListener("submit", () => {
      localStorage.setItem(KEY, input.value.trim());
      dialog.remove();
      asking = null;
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
  return asking;
}

export async function get(path) {
  return read(await request(path));
}

export async function post(path, body, method = "POST") {
  return read(await request(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body ?? {}) }));
}

export async function download(path, name) {
  const answer = await request(path);
  if (!answer.ok) return read(answer);
  const address = URL.createObjectURL(await answer.blob());
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

async function read(answer) {
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const detail = Array.isArray(said.detail) ? said.detail.map((one) => one.msg).join("; ") : said.detail;
  throw new Refused(answer.status, detail || `the service answered ${answer.status}`);
}

// The events of a job, each once and in order; a connection that breaks is opened again where it broke.
export async function* events(jobId, signal) {
  let last = "";
  while (!signal.aborted) {
    try {
      const answer = await request(`/jobs/${jobId}/events`, { signal, headers: last ? { "last-event-id": last } : {} });
      if (answer.status === 204) return;
      if (!answer.ok) await read(answer);
      let rest = "";
      for await (const chunk of chunks(answer.body)) {
        const parts = (rest + chunk).split("\n\n");
        rest = parts.pop();
        for (const part of parts) {
          const lines = part.split("\n");
          const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
          last = lines.find((line) => line.startsWith("id:"))?.slice(3).trim() || last;
          if (!data) continue;
          const event = JSON.parse(data);
          yield event;
          if (event.type === "ended") return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status < 500) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

async function* chunks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
