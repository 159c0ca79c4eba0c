// The view of one run: live as a conversation, afterwards with answer, changes and what one can do with it.
import { download, events, get, post } from "./api.js";
import { ago, clock, dollars, duration, h, phase, table, tokens, webLink } from "./dom.js";
import { Conversation } from "./events.js";

export async function run(draw, signal, id) {
  let job = await get(`/jobs/${id}`);
  const head = h("div"), talk = new Conversation(), tail = h("div");
  draw(head, h("p", { class: "prompt" }, job.prompt || job.agent), tail, h("h2", {}, "Conversation"), talk.element);
  const update = () => { head.replaceChildren(...heading(job)); tail.replaceChildren(...ending(job)); };
  update();
  const timer = setInterval(async () => {
    if (job.status === "running") { job = await get(`/jobs/${id}`).catch(() => job); update(); }
  }, 3000);
  signal.addEventListener("abort", () => clearInterval(timer));
  for await (const event of events(id, signal)) {
    const atEnd = innerHeight + scrollY >= document.body.scrollHeight - 80;
    talk.add(event);
    if (atEnd && job.status === "running") scrollTo(0, document.body.scrollHeight);
  }
  clearInterval(timer);
  if (signal.aborted) return;
  job = await get(`/jobs/${id}?wait=20`);
  update();
  if (!talk.element.childNodes.length) talk.put(h("p", { class: "dim" }, "No agent said anything in this run."));
}

function heading(job) {
  const took = job.duration_seconds ?? (job.status === "running" ? (Date.now() - new Date(job.created_at)) / 1000 : null);
  const usage = job.usage, read = usage && usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
  const facts = [
    ["State", [phase(job), job.waiting ? `: ${job.waiting.reason} ` : "", job.waiting ? ago(job.waiting.until) : ""]],
    ["Error", job.error && h("span", { class: "bad" }, job.error)],
    ["Started by", job.trigger], ["Accepted", clock(job.created_at)], ["Took", duration(took)],
    ["Cost", dollars(job.cost_usd)], ["Model", job.model],
    ["Tokens", usage && usage.output_tokens > 0 && `${tokens(read)} in, ${tokens(usage.output_tokens)} out${job.turns ? `, ${job.turns} turns` : ""}`],
    ["More", [webLink(job.flow_run_url, "this run in Prefect"), " · ", h("code", {}, job.job_id)]],
  ];
  const shown = facts.filter(([, value]) => value && value !== "");
  return [h("h1", {}, job.structured?.items ? `Triage ${job.structured.name}` : job.agent), h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])), actions(job)];
}

function actions(job) {
  const act = (name, work) => h("button", { onclick: async (event) => {
    event.target.disabled = true;
    await work().catch((error) => alert(error.message));
    event.target.disabled = false;
  } }, name);
  const started = (answer) => { location.hash = `#/run/${answer.job_id}`; };
  const triage = job.structured?.items && job.structured.name;
  const buttons = [];
  if (job.status === "running") buttons.push(act("Cancel", () => post(`/jobs/${job.job_id}/cancel`)));
  else if (triage) buttons.push(act("Run the triage again", async () => started(await post(`/triage/${encodeURIComponent(triage)}`))));
  else buttons.push(act("Run again", async () => started(await post(`/jobs/${job.job_id}/rerun`))));
  if (job.workspace?.kept_ref) buttons.push(act("Download kept work", () => download(`/kept/${job.job_id}/bundle`, `${job.job_id}.bundle`)));
  return h("div", { class: "row" }, buttons);
}

function ending(job) {
  if (job.status === "running") return [];
  const parts = [];
  if (job.structured?.items) parts.push(...report(job.structured));
  else if (job.result) parts.push(h("h2", {}, "Answer"), h("div", { class: "answer" }, job.result));
  else if (job.stderr) parts.push(h("h2", {}, "The CLI said"), h("pre", {}, job.stderr.slice(-4000)));
  if (job.workspace) parts.push(...changes(job.workspace, job.job_id));
  if (job.prompt && !job.structured?.items) parts.push(h("details", {}, h("summary", { class: "dim" }, "The curl that does it again"), h("pre", {}, curl(job))));
  return parts;
}

export function report(found) {
  const verdict = (item) => (item.verdict && typeof item.verdict === "object" ? Object.entries(item.verdict).map(([name, value]) => h("div", {}, h("span", { class: "dim" }, `${name}: `), Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value))) : item.answer || "");
  const rows = [...found.items, ...(found.set_aside || [])].map((item) => [
    [item.run_id ? h("a", { href: `#/run/${item.run_id}` }, item.title) : item.title, item.suspicious && h("div", { class: "warn" }, "its text tries to instruct its reader"), item.error && h("div", { class: "reason" }, item.error)],
    h("span", { class: item.status === "done" ? "good" : "warn" }, item.status), verdict(item), dollars(item.cost_usd)]);
  const notes = [...(found.notes || []), ...(found.problems || [])].map((text) => h("p", { class: "problem" }, text));
  return [h("h2", {}, `${found.items.length} handled of ${found.listed} listed, ${found.handled_before} handled before`), ...notes, table([["Item", ""], ["", "nowrap"], ["Verdict", "what"], ["Cost", "number"]], rows, "Nothing new was found.")];
}

function changes(workspace, id) {
  const commits = workspace.commits.map((commit) => h("li", {}, h("code", {}, commit.sha.slice(0, 10)), ` ${commit.subject} `, h("span", { class: "dim" }, commit.pushed ? "pushed" : "not pushed")));
  const parts = [h("h2", {}, "Changes in git"), h("p", { class: "dim" }, `${workspace.name} at ${workspace.ref}, from ${workspace.commit.slice(0, 10)}${workspace.stale ? ", not up to date: " + (workspace.stale_reason || "") : ""}`)];
  parts.push(...workspace.notes.map((note) => h("p", { class: "problem" }, note)));
  if (commits.length) parts.push(h("ul", {}, commits));
  if (!workspace.diff) return [...parts, h("p", { class: "dim" }, "Nothing was changed.")];
  parts.push(diff(workspace.diff));
  if (workspace.diff_cut) parts.push(h("p", { class: "warn" }, `The diff is cut. All of it: agent-service kept restore ${id}`));
  return parts;
}

function diff(text) {
  const kind = (line) => (/^(diff|index|\+\+\+|---|new|deleted|rename|similarity)/.test(line) ? "head" : { "+": "add", "-": "cut", "@": "at" }[line[0]]);
  return h("pre", { class: "diff", tabindex: "0" }, text.replace(/\n$/, "").split("\n").slice(0, 5000).map((line) => h("span", { class: kind(line) }, line || " ")));
}

function curl(job) {
  const body = JSON.stringify({ agent: job.agent, prompt: job.prompt, ...(job.metadata ? { metadata: job.metadata } : {}) }).replaceAll("'", "'\\''");
  return `curl -H "Authorization: Bearer $API_BEARER_TOKEN" -H 'Content-Type: application/json' \\\n  ${location.origin}/execute -d '${body}'`;
}
