// The API reference at /docs: reads /openapi.json, and sends requests with the token. Loads nothing from elsewhere.
import { request } from "./api.js";
import { h, table } from "./dom.js";

const spec = await (await fetch("/openapi.json")).json();

const resolve = (schema) => (schema?.$ref ? resolve(spec.components.schemas[schema.$ref.split("/").pop()]) : schema || {});

function kind(schema) {
  const found = resolve(schema);
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (found.const !== undefined) return JSON.stringify(found.const);
  const options = found.anyOf || found.oneOf;
  if (options) return options.map(kind).join(" | ");
  return found.type === "array" ? `list of ${kind(found.items)}` : found.type || "any";
}

function example(schema, depth = 0) {
  const found = resolve(schema);
  if (found.examples?.length) return found.examples[0];
  if (found.default !== undefined) return found.default;
  if (found.enum) return found.enum[0];
  const options = found.anyOf || found.oneOf;
  if (options) return example(options[0], depth);
  if (found.type === "object") return Object.fromEntries(depth > 3 ? [] : (found.required || []).map((name) => [name, example(found.properties?.[name], depth + 1)]));
  if (found.type === "array") return depth > 3 ? [] : [example(found.items, depth + 1)];
  return { integer: 1, number: 1, boolean: false, string: "…" }[found.type] ?? null;
}

const members = (schema) => {
  const found = resolve(schema), required = new Set(found.required || []);
  const rows = Object.entries(found.properties || {}).map(([name, one]) => [h("code", {}, name + (required.has(name) ? " *" : "")), h("span", { class: "mono" }, kind(one)), one.description || resolve(one).description || ""]);
  return rows.length ? table([["Member", "nowrap"], ["Type", ""], ["", "what"]], rows, "") : "";
};

function operation(method, path, one) {
  const parameters = (one.parameters || []).filter((parameter) => parameter.in !== "header");
  const inputs = new Map(parameters.map((parameter) => [parameter, h("input", { "aria-label": parameter.name, placeholder: parameter.in })]));
  const schema = one.requestBody?.content?.["application/json"]?.schema;
  const body = schema && h("textarea", { class: "mono", "aria-label": "Body", spellcheck: "false" }, JSON.stringify(example(schema), null, 2));
  const answer = h("pre", { hidden: true });
  const send = async () => {
    let target = path;
    const query = new URLSearchParams();
    for (const [parameter, input] of inputs) {
      if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.append(parameter.name, input.value);
    }
    answer.hidden = false;
    answer.textContent = "…";
    const headers = body ? { "content-type": "application/json" } : {};
    const response = await request(`${target}${query.size ? `?${query}` : ""}`, { method, headers, body: body?.value });
    const text = await response.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON */ }
    answer.textContent = `${response.status} ${response.statusText}\n${shown.slice(0, 100000)}`;
  };
  const answers = Object.entries(one.responses).map(([status, said]) => [h("code", {}, status), said.description || "", members(said.content?.["application/json"]?.schema)]);
  return h("details", { class: "tool", id: one.operationId },
    h("summary", {}, h("code", {}, `${method} ${path}`), ` ${(one.description || "").split("\n")[0]}`),
    h("p", {}, one.description || ""), one.security ? "" : h("p", { class: "good" }, "Open: no token."),
    parameters.length ? table([["Parameter", "nowrap"], ["Value", ""], ["", "what"]], parameters.map((parameter) => [h("code", {}, parameter.name), inputs.get(parameter), parameter.description || kind(parameter.schema)]), "") : "",
    schema ? [h("h2", {}, "Body"), members(schema), body] : "",
    h("div", { class: "row" }, h("button", { onclick: send }, "Send")), answer,
    h("h2", {}, "Answers"), table([["", "nowrap"], ["", ""], ["", "what"]], answers, ""));
}

const groups = new Map();
for (const [path, operations] of Object.entries(spec.paths)) {
  for (const [method, one] of Object.entries(operations)) {
    const tag = one.tags?.[0] || "other";
    groups.set(tag, [...(groups.get(tag) || []), operation(method.toUpperCase(), path, one)]);
  }
}
const about = new Map((spec.tags || []).map((tag) => [tag.name, tag.description]));
document.querySelector("#main").replaceChildren(
  h("h1", {}, `${spec.info.title} ${spec.info.version}`), h("p", { class: "dim" }, spec.info.description || "Each route, with a form to try it. The token is asked for at the first request."),
  ...[...groups].flatMap(([tag, parts]) => [h("h2", {}, tag), h("p", { class: "dim" }, about.get(tag) || ""), ...parts]));
