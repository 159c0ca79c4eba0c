// Lists: runs, triages, kept work.
import { download, get, post } from "./api.js";
import { ago, dollars, duration, h, isTriage, phase, table } from "./dom.js";

const COLUMNS = [["Run", "what"], ["State", "nowrap"], ["By", "nowrap wide"], ["Took", "number wide"], ["Cost", "number"], ["", "nowrap"]];

const row = (job) => [
  [h("a", { href: `#/run/${job.job_id}` }, job.name), (job.waiting || job.error) && h("div", { class: job.error ? "reason" : "dim" }, job.error || job.waiting.reason)],
  phase(job), job.trigger, duration(job.duration_seconds), dollars(job.cost_usd), ago(job.finished_at || job.created_at)];

async function list(draw, title, query, wanted, empty) {
  const lines = [], body = h("div"), more = h("button", { hidden: true }, "Older");
  const chosen = h("select", { "aria-label": "State" }, ["all", "running", "completed", "failed", "timeout", "error"].map((word) => h("option", { value: word === "all" ? "" : word }, word)));
  let next = "";
  const load = async () => {
    let left = 5;
    do {
      const page = await get(next);
      lines.push(...page.jobs.filter(wanted).map(row));
      next = page.next;
    } while (next && lines.length < 20 && (left -= 1));
    more.hidden = !next;
    body.replaceChildren(table(COLUMNS, lines, empty));
  };
  const restart = async () => {
    lines.length = 0;
    next = `/jobs?limit=100${query}${chosen.value && `&status=${chosen.value}`}`;
    await load();
  };
  chosen.addEventListener("change", restart);
  more.addEventListener("click", load);
  draw(h("h1", {}, title), h("div", { class: "row" }, chosen), body, more);
  await restart();
}

export const runs = (draw, signal, agent) => list(draw, "Runs", agent ? `&agent=${encodeURIComponent(agent)}` : "", () => true, "No runs.");

export const triages = (draw) => list(draw, "Triages", "", isTriage, "No triage has run. docs/triage.md shows how to make one.");

export async function kept(draw) {
  const { kept: found } = await get("/kept");
  const rows = found.map((one) => [
    h("a", { href: `#/run/${one.job_id}` }, one.job_id.slice(0, 13)), one.workspace, one.subject, ago(one.kept_at),
    h("button", { onclick: () => download(`/kept/${one.job_id}/bundle`, `${one.job_id}.bundle`).catch((error) => alert(error.message)) }, "Download")]);
  draw(h("h1", {}, "Kept work"), h("p", { class: "dim" }, "Work that agents did not push. A download is a git bundle; on the host, agent-service kept restore makes a clone of it."),
    table([["Run", "nowrap"], ["Workspace", ""], ["What", "what"], ["Kept", "nowrap"], ["", ""]], rows, "Nothing is kept: agents pushed all their work."));
}
