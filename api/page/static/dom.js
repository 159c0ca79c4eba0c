// Builds elements from text alone: what an agent wrote is never read as HTML.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(3).filter((child) => child != null && child !== false));
  return element;
}

export const webLink = (address, text) =>
  /^https?:\/\//.test(address || "") ? h("a", { href: address, rel: "noreferrer noopener", target: "_blank" }, text || address) : text || "";

export function table(columns, rows, empty) {
  if (!rows.length) return h("p", { class: "dim" }, empty);
  const heading = columns.map(([name, kind]) => h("th", { class: kind, scope: "col" }, name));
  const lines = rows.map((row) => h("tr", {}, row.map((cell, index) => h("td", { class: columns[index][1] }, cell))));
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heading)), h("tbody", {}, lines)));
}

export const dollars = (amount) =>
  amount == null ? "" : amount >= 1 || amount <= 0 ? `$${amount.toFixed(2)}` : amount >= 0.001 ? `$${amount.toFixed(4)}` : `$${amount.toFixed(6)}`;

export const tokens = (count) => (count < 1000 ? `${count}` : count < 999950 ? `${(count / 1000).toFixed(1)}k` : `${(count / 1e6).toFixed(1)}M`);

export function duration(seconds) {
  if (seconds == null) return "";
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600), pad = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

export function ago(iso) {
  if (!iso) return "";
  const seconds = (Date.now() - new Date(iso)) / 1000, far = Math.abs(seconds);
  const [unit, length] = far >= 86400 ? ["d", 86400] : far >= 3600 ? ["h", 3600] : far >= 60 ? ["min", 60] : ["s", 1];
  const shown = `${Math.floor(far / length)} ${unit}`;
  return h("time", { datetime: iso, title: new Date(iso).toLocaleString() }, seconds < -1 ? `in ${shown}` : `${shown} ago`);
}

export const clock = (iso) => (iso ? new Date(iso).toLocaleString([], { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }) : "");

// The run of a triage, and not that of an agent that a triage has started.
export const isTriage = (job) => job.trigger !== "triage" && job.tags.some((tag) => tag.startsWith("triage:"));

const STYLES = { completed: "good", failed: "bad", crashed: "bad", timed_out: "bad", timeout: "bad", error: "bad", held: "warn", waiting: "warn", cancelled: "dim" };
const WORDS = { timed_out: "out of time" };
export const phase = (job) => h("span", { class: STYLES[job.phase || job.status] || "busy" }, WORDS[job.phase] || job.phase || job.status);
