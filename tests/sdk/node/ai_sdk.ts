// Vercel's AI SDK, with its providers for servers that speak OpenAI's and Anthropic's protocols.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { type LanguageModel, Output, generateText, stepCountIs, streamText, tool } from "ai";

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

const NAME = "local";
const baseURL = `${BASE_URL}/v1`;
const model = createOpenAICompatible({
  name: NAME,
  baseURL,
  apiKey: "none",
  includeUsage: true,
  supportsStructuredOutputs: true,
})(MODEL);
// Fields under the provider's name that it does not know go into the body.
const budgeted = { [NAME]: { max_thinking_tokens: BUDGET } };
const oneCall = { [NAME]: { max_thinking_tokens: BUDGET, parallel_tool_calls: false } };
const once = { temperature: 0, maxRetries: 0 };
const short = { ...once, maxOutputTokens: MAX_TOKENS };
const weatherTool = tool({
  description: TOOL_TEXT,
  inputSchema: Weather,
  execute: async ({ city, unit }) => ({ city, degrees: 20, unit }),
});

async function plain(): Promise<Reply> {
  return { text: (await generateText({ model, prompt: QUESTION, ...short })).text };
}

async function stream(): Promise<Reply> {
  const pieces: string[] = [];
  for await (const piece of streamText({ model, prompt: QUESTION, ...short }).textStream) {
    pieces.push(piece);
  }
  return streamed(pieces);
}

async function think(asked: LanguageModel, options: Record<string, object>): Promise<Reply> {
  const result = await generateText({
    model: asked,
    prompt: QUESTION,
    providerOptions: options as never,
    ...short,
  });
  return { text: result.text, reasoning_tokens: result.usage.outputTokenDetails.reasoningTokens };
}

async function tools(): Promise<Reply> {
  const result = await generateText({
    model,
    prompt: WEATHER_QUESTION,
    tools: { [TOOL_NAME]: weatherTool },
    toolChoice: { type: "tool", toolName: TOOL_NAME },
    providerOptions: oneCall,
    ...once,
  });
  const call = result.toolCalls[0]!;
  return { name: call.toolName, arguments: call.input };
}

async function structured(): Promise<Reply> {
  const result = await generateText({
    model,
    prompt: WEATHER_QUESTION,
    output: Output.object({ schema: Weather }),
    providerOptions: budgeted,
    ...once,
  });
  return { value: result.output };
}

// Tools and an answer's type in each request; the second step may only answer, as a small model
// would go on calling.
async function agent(): Promise<Reply> {
  const result = await generateText({
    model,
    prompt: WEATHER_QUESTION,
    tools: { [TOOL_NAME]: weatherTool },
    output: Output.object({ schema: Weather }),
    stopWhen: stepCountIs(2),
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
    providerOptions: oneCall,
    ...once,
  });
  return { value: result.output, num_calls: result.steps[0]!.toolCalls.length };
}

// This provider sends only fields of OpenAI's.
const openai = createOpenAI({
  baseURL,
  apiKey: "none",
  fetch: (url, init) => {
    const body = { ...JSON.parse(String(init!.body)), max_thinking_tokens: BUDGET };
    return fetch(url, { ...init, body: JSON.stringify(body) });
  },
});
const anthropic = createAnthropic({ baseURL, apiKey: "none" });

await report("ai", {
  plain,
  streamed: stream,
  budget: () => think(model, budgeted),
  tools,
  structured,
  agent,
  responses: () => think(openai.responses(MODEL), {}),
  messages: () =>
    think(anthropic(MODEL), {
      anthropic: { thinking: { type: "enabled", budgetTokens: BUDGET } },
    }),
});
