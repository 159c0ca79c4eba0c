// The openai package for Node: `node openai.mjs TASK PROMPT` prints what came of it.
import OpenAI from "openai";
import { apiKey, baseURL, model, print, prompt } from "./call.mjs";

const client = new OpenAI({ baseURL, apiKey, timeout: 60_000 });
const messages = [{ role: "user", content: prompt }];

async function answer() {
  const completion = await client.chat.completions.create({ model, messages });
  return { text: completion.choices[0].message.content, tokens: completion.usage.total_tokens };
}

async function stream() {
  const chunks = await client.chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  let text = "", tokens = 0;
  for await (const chunk of chunks) {
    text += chunk.choices[0]?.delta.content ?? "";
    tokens = chunk.usage?.total_tokens ?? tokens;
  }
  return { text, tokens };
}

async function structured() {
  const schema = {
    type: "object",
    $defs: {
      Owner: {
        type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false,
      },
    },
    properties: { name: { type: "string" }, bytes: { type: "integer" }, owner: { $ref: "#/$defs/Owner" } },
    required: ["name", "bytes", "owner"],
    additionalProperties: false,
  };
  const completion = await client.chat.completions.parse({
    model, messages, response_format: { type: "json_schema", json_schema: { name: "size", strict: true, schema } },
  });
  return { object: JSON.parse(completion.choices[0].message.content) };
}

async function models() {
  const ids = [];
  for await (const one of client.models.list()) ids.push(one.id);
  return { ids, one: (await client.models.retrieve(model)).id };
}

async function errors() {
  const caught = async (work) => {
    try {
      await work();
    } catch (error) {
      return { kind: error.constructor.name, status: error.status ?? null, code: error.code, param: error.param };
    }
  };
  return {
    refused: await caught(() => client.chat.completions.create({ model: "gpt-4", messages })),
    failed: await caught(() => client.chat.completions.create({ model, messages })),
    stranger: await caught(() => new OpenAI({ baseURL, apiKey: "wrong" }).models.list()),
  };
}

async function retries() {
  const impatient = new OpenAI({ baseURL, apiKey, timeout: 6_000, maxRetries: 2 });
  const completion = await impatient.chat.completions.create({ model, messages });
  return { text: completion.choices[0].message.content };
}

await print(["openai"], { answer, stream, structured, models, errors, retries });
