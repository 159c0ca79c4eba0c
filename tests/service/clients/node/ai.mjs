// Vercel's AI SDK with @ai-sdk/openai-compatible: `node ai.mjs TASK PROMPT` prints what came of it.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, streamText } from "ai";
import { z } from "zod";
import { apiKey, baseURL, model as id, print, prompt } from "./call.mjs";

const provider = createOpenAICompatible({
  name: "agents", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true,
});
const model = provider(id);

async function answer() {
  const { text, usage } = await generateText({ model, prompt });
  return { text, tokens: usage.totalTokens };
}

async function stream() {
  const result = streamText({ model, prompt });
  let text = "";
  for await (const part of result.textStream) text += part;
  return { text, tokens: (await result.usage).totalTokens, reason: await result.finishReason };
}

async function structured() {
  const schema = z.object({ name: z.string(), bytes: z.number().int(), owner: z.object({ name: z.string() }) });
  const { object } = await generateObject({ model, prompt, schema });
  return { object };
}

async function errors() {
  try {
    await generateText({ model: provider("gpt-4"), prompt, maxRetries: 0 });
  } catch (error) {
    return { refused: { status: error.statusCode, message: error.message } };
  }
}

await print(["ai", "@ai-sdk/openai-compatible"], { answer, stream, structured, errors });
