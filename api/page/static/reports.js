// Schedules, and spend by day and agent.
import { get, post } from "./api.js";
import { ago, clock, dollars, h, phase, table, tokens } from "./dom.js";

export async function schedules(draw) {
  const show = ({ schedules: found }) => {
    const rows = found.map((one) => [
      [h("strong", {}, one.name), h("div", { class: "dim" }, one.description), h("div", { class: "dim mono" }, one.rule)],
      one.next_at ? [clock(one.next_at), h("div", { class: "dim" }, ago(one.next_at))] : h("span", { class: "dim" }, "off"),
      one.recent.map((run) => [h("a", { href: `#/run/${run.job_id}`, title: run.finished_at }, phase(run)), h("br")]),
      h("button", { "aria-pressed": String(one.active), onclick: async () => {
        const after = await post(`/schedules/${one.id}`, { active: !one.active }, "PATCH").catch((error) => alert(error.message));
        if (after) show(after);
      } }, one.active ? "Switch off" : "Switch on")]);
    draw(h("h1", {}, "Schedules"), h("p", { class: "dim" }, `Times are in your zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}. A switch here stays until prefect.yaml changes it.`),
      table([["Schedule", "what"], ["Next", "nowrap"], ["Last results", "nowrap"], ["", ""]], rows, "No schedules. prefect.yaml has them: docs/first-schedule.md."));
  };
  show(await get("/schedules"));
}

export async function spend(draw) {
  const chosen = h("select", { "aria-label": "Time" }, [7, 30, 90].map((days) => h("option", { value: days }, `${days} days`))), body = h("div");
  const load = async () => {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const usage = await get(`/usage?days=${chosen.value}&timezone=${encodeURIComponent(zone)}`);
    body.replaceChildren(...report(usage));
  };
  chosen.addEventListener("change", load);
  draw(h("h1", {}, "Spend"), h("div", { class: "row" }, chosen), body);
  await load();
}

function report({ total, days, is_cut }) {
  const byDay = group(days, "day"), byAgent = group(days, "agent");
  const cut = is_cut ? [h("p", { class: "problem" }, "There were more runs than are counted here; the newest are.")] : [];
  const columns = (name) => [[name, ""], ["", "what"], ["Cost", "number"], ["Runs", "number"], ["Failed", "number wide"], ["Tokens", "number wide"]];
  return [...cut,
    h("p", {}, h("strong", {}, dollars(total.cost_usd)), ` for ${total.runs} runs, ${total.failed} of them failed; ${tokens(total.input_tokens)} tokens in, ${tokens(total.output_tokens)} out.`),
    h("h2", {}, "By day"), table(columns("Day"), byDay.map((line) => cells(line, byDay)), "No runs."),
    h("h2", {}, "By agent"), table(columns("Agent"), byAgent.sort((a, b) => b.cost_usd - a.cost_usd).map((line) => cells(line, byAgent)), "No runs.")];
}

function group(lines, key) {
  const sums = new Map();
  for (const line of lines) {
    const sum = sums.get(line[key]) || { name: line[key], cost_usd: 0, runs: 0, failed: 0, input_tokens: 0, output_tokens: 0 };
    for (const name of ["cost_usd", "runs", "failed", "input_tokens", "output_tokens"]) sum[name] += line[name];
    sums.set(line[key], sum);
  }
  return [...sums.values()];
}

function cells(line, all) {
  const most = Math.max(...all.map((one) => one.cost_usd), 1e-9);
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg"), rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [["width", "100%"], ["height", "16"], ["aria-hidden", "true"]]) bar.setAttribute(name, value);
  for (const [name, value] of [["width", `${(100 * line.cost_usd) / most}%`], ["height", "16"], ["fill", "var(--accent)"]]) rect.setAttribute(name, value);
  bar.append(rect);
  return [line.name || "(none)", h("div", { class: "bar" }, bar), dollars(line.cost_usd), String(line.runs), line.failed ? h("span", { class: "bad" }, String(line.failed)) : "0", `${tokens(line.input_tokens)} / ${tokens(line.output_tokens)}`];
}
