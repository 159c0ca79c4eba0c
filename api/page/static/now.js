// The view "Now": slots, what waits, and what keeps agents from starting.
import { get, post } from "./api.js";
import { ago, dollars, duration, h, isTriage, phase, table, tokens } from "./dom.js";
import { line } from "./events.js";


export async function now(draw, signal) {
  const seen = new Map();
  while (!signal.aborted) {
    const [health, ready, page, recent] = await Promise.all([
      fetch("/health").then((answer) => answer.json()),
      fetch("/ready").then((answer) => answer.json()),
      get("/jobs?status=running&limit=200"),
      get("/jobs?limit=8"),
    ]);
    const working = page.jobs.filter((job) => job.phase === "working" && !isTriage(job));
    await Promise.all(working.slice(0, 30).map((job) => follow(job, seen)));
    draw(...problems(health, ready), h("h1", {}, "Now"), slots(health, working, seen), ...waiting(page.jobs), ...ended(recent.jobs));
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

async function follow(job, seen) {
  const state = seen.get(job.job_id) || { after: 0, turns: 0, read: 0, written: 0, last: "" };
  seen.set(job.job_id, state);
  const found = await get(`/jobs/${job.job_id}/transcript?after=${state.after}&limit=1000`).catch(() => ({ events: [] }));
  for (const { id, event } of found.events) {
    state.after = id;
    if (event.type === "model_answered") {
      const { input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens } = event.usage;
      state.turns += event.by_subagent ? 0 : 1;
      state.read += input_tokens + cache_read_input_tokens + cache_creation_input_tokens;
      state.written += output_tokens;
    }
    state.last = line(event) || state.last;
  }
}

function slots(health, working, seen) {
  const cards = working.map((job) => slot(job, seen.get(job.job_id)));
  const free = Math.min(health.capacity.free, 12);
  for (let one = 0; one < free; one += 1) cards.push(h("div", { class: "slot free" }, "free slot"));
  return h("div", { class: "slots" }, cards);
}

function slot(job, state = {}) {
  const what = job.name.replace(`${job.agent}: `, "");
  const cancel = h("button", { onclick: async (event) => {
    event.target.disabled = true;
    await post(`/jobs/${job.job_id}/cancel`).catch((error) => alert(error.message));
  } }, "Cancel");
  return h("section", { class: "slot", "aria-label": job.name },
    h("h3", {}, h("a", { href: `#/run/${job.job_id}` }, job.agent), h("span", { class: "dim" }, duration((Date.now() - new Date(job.created_at)) / 1000))),
    h("p", { title: what }, what), h("p", { class: "dim", title: state.last }, state.last || "starting"),
    h("div", { class: "row" }, h("span", { class: "dim" }, `${state.turns || 0} ${state.turns === 1 ? "turn" : "turns"} · ${tokens(state.read || 0)} in, ${tokens(state.written || 0)} out`), cancel));
}

function problems(health, ready) {
  const found = [];
  if (ready.status !== "ready") found.push(`Not ready: ${ready.detail}`);
  if ((health.paused || []).includes("agents")) found.push("Agents are paused. Queued jobs start after Resume.");
  if (health.held) found.push(`No agent starts until ${new Date(health.held.until).toLocaleTimeString()}: ${health.held.reason}. Type agent-service doctor on the host.`);
  if (health.disk) found.push("Disk space is low: no run starts. Free some under STATE_DIR.");
  if (health.sandbox === "none") found.push("The sandbox is OFF: agents have all rights of the service's user. Install bubblewrap, then restart.");
  return found.map((text) => h("p", { class: "problem" }, text));
}

function waiting(jobs) {
  const rest = jobs.filter((job) => job.phase !== "working" || isTriage(job));
  if (!rest.length) return [];
  const rows = rest.map((job) => [h("a", { href: `#/run/${job.job_id}` }, job.name), phase(job), job.waiting ? [job.waiting.reason, " ", ago(job.waiting.until)] : "", ago(job.created_at)]);
  return [h("h2", {}, "Not in a slot"), table([["Job", "what"], ["State", "nowrap"], ["Waits for", ""], ["Since", "nowrap wide"]], rows, "")];
}

function ended(jobs) {
  const done = jobs.filter((job) => job.status !== "running");
  const rows = done.map((job) => [[h("a", { href: `#/run/${job.job_id}` }, job.name), job.error && h("div", { class: "reason" }, job.error)], phase(job), dollars(job.cost_usd), ago(job.finished_at)]);
  const first = h("p", { class: "dim" }, "No run yet. Try: ", h("code", {}, 'agent-service run general-purpose "What is this repository about?"'));
  return [h("h2", {}, "Ended lately"), rows.length ? table([["Job", "what"], ["State", "nowrap"], ["Cost", "number"], ["", "nowrap wide"]], rows, "") : first];
}
