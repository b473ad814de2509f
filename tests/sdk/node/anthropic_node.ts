// Anthropic's SDK for TypeScript and JavaScript.
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

import {
  BASE_URL,
  BUDGET,
  MAX_TOKENS,
  MODEL,
  QUESTION,
  type Reply,
  TOOL_NAME,
  TOOL_TEXT,
  WEATHER_QUESTION,
  Weather,
  report,
  streamed,
} from "./report";

const client = new Anthropic({ baseURL: BASE_URL, apiKey: "none", maxRetries: 0 });
const asked = {
  model: MODEL,
  max_tokens: MAX_TOKENS,
  temperature: 0, // not in the SDK's types any more
  messages: [{ role: "user" as const, content: QUESTION }],
};
const weather = {
  ...asked,
  messages: [{ role: "user" as const, content: WEATHER_QUESTION }],
  thinking: { type: "disabled" as const }, // all of the few tokens are for the answer
};

async function plain(): Promise<Reply> {
  const message = await client.messages.create(asked);
  const texts = message.content.map((block) => (block.type === "text" ? block.text : ""));
  return { text: texts.join("") };
}

async function stream(): Promise<Reply> {
  const pieces: string[] = [];
  const events = client.messages.stream(asked).on("text", (piece) => pieces.push(piece));
  await events.finalMessage();
  return streamed(pieces);
}

async function budget(): Promise<Reply> {
  const message = await client.messages.create({
    ...asked,
    thinking: { type: "enabled", budget_tokens: BUDGET },
  });
  return {
    reasoning_tokens: message.usage.output_tokens_details!.thinking_tokens,
    receipt: (message as Anthropic.Message & { thinking?: unknown }).thinking,
  };
}

async function tools(): Promise<Reply> {
  const schema = z.toJSONSchema(Weather) as Anthropic.Tool.InputSchema;
  const message = await client.messages.create({
    ...weather,
    tools: [{ name: TOOL_NAME, description: TOOL_TEXT, input_schema: schema }],
    tool_choice: { type: "tool", name: TOOL_NAME },
  });
  const call = message.content.find((block) => block.type === "tool_use")!;
  return { name: call.name, arguments: call.input };
}

async function structured(): Promise<Reply> {
  const message = await client.messages.parse({
    ...weather,
    output_config: { format: zodOutputFormat(Weather) },
  });
  return { value: message.parsed_output };
}

// How far a hidden thought is: by how many tokens it has grown.
async function progress(): Promise<Reply> {
  const events = await client.beta.messages.create({
    ...asked,
    stream: true,
    thinking: { type: "enabled", budget_tokens: BUDGET, display: "omitted" },
    betas: ["thinking-token-count-2026-05-13"],
  });
  const counts: number[] = [];
  let used = 0;
  let reasoning_tokens = 0;
  for await (const event of events) {
    if (event.type === "content_block_delta" && event.delta.type === "thinking_delta") {
      used += event.delta.estimated_tokens ?? 0;
      counts.push(used);
    }
    if (event.type === "message_delta") {
      reasoning_tokens = event.usage.output_tokens_details?.thinking_tokens ?? 0;
    }
  }
  return { counts, reasoning_tokens };
}

await report("@anthropic-ai/sdk", {
  plain,
  streamed: stream,
  budget,
  tools,
  structured,
  progress,
});
