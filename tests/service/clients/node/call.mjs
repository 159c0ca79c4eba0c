// Shared by the programs: which client, what it is asked for, and how its findings are printed.
import { readFileSync } from "node:fs";

export const [task, prompt] = process.argv.slice(2);
export const baseURL = process.env.BASE_URL;
export const apiKey = process.env.API_KEY;
export const model = "claude-haiku-4-5";

const installed = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url)));

export async function print(names, tasks) {
  const found = await tasks[task]();
  console.log(JSON.stringify({ version: names.map((name) => installed(name).version).join(", "), ...found }));
}
