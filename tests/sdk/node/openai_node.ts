// OpenAI's SDK for TypeScript and JavaScript.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { ResponsesWS } from "openai/resources/responses/ws";
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

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: "none", maxRetries: 0 });
const question: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: QUESTION }];
const weather: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: WEATHER_QUESTION }];
// A field that the SDK's types do not know: an object that is spread is not checked for it.
const budgeted = { max_thinking_tokens: BUDGET };

async function plain(): Promise<Reply> {
  const completion = await client.chat.completions.create({
    model: MODEL,
    messages: question,
    max_completion_tokens: MAX_TOKENS,
    temperature: 0,
  });
  return { text: completion.choices[0]!.message.content };
}

async function stream(): Promise<Reply> {
  const events = client.chat.completions.stream({
    model: MODEL,
    messages: question,
    max_completion_tokens: MAX_TOKENS,
    temperature: 0,
  });
  const pieces: string[] = [];
  events.on("content", (piece) => pieces.push(piece));
  await events.finalChatCompletion();
  return streamed(pieces);
}

async function budget(): Promise<Reply> {
  const completion = await client.chat.completions.create({
    model: MODEL,
    messages: question,
    max_completion_tokens: MAX_TOKENS,
    temperature: 0,
    ...budgeted,
  });
  const choice = completion.choices[0] as OpenAI.ChatCompletion.Choice & { thinking: unknown };
  return {
    reasoning_tokens: completion.usage!.completion_tokens_details!.reasoning_tokens,
    receipt: choice.thinking,
  };
}

async function tools(): Promise<Reply> {
  const completion = await client.chat.completions.create({
    model: MODEL,
    messages: weather,
    tools: [
      {
        type: "function",
        function: {
          name: TOOL_NAME,
          description: TOOL_TEXT,
          parameters: z.toJSONSchema(Weather),
        },
      },
    ],
    tool_choice: { type: "function", function: { name: TOOL_NAME } },
    ...budgeted,
  });
  const call = completion.choices[0]!.message.tool_calls![0]!;
  if (call.type !== "function") throw new Error(`a call of type ${call.type}`);
  return { name: call.function.name, arguments: JSON.parse(call.function.arguments) };
}

async function structured(): Promise<Reply> {
  const completion = await client.chat.completions.parse({
    model: MODEL,
    messages: weather,
    response_format: zodResponseFormat(Weather, "weather"),
    ...budgeted,
  });
  return { value: completion.choices[0]!.message.parsed };
}

async function responses(): Promise<Reply> {
  const response = await client.responses.create({
    model: MODEL,
    input: QUESTION,
    max_output_tokens: MAX_TOKENS,
    temperature: 0,
    ...budgeted,
  });
  return {
    text: response.output_text,
    reasoning_tokens: response.usage!.output_tokens_details.reasoning_tokens,
  };
}

// What the helper for streams keeps of a thought, and what the response at the end has.
async function streamThought(fields: object): Promise<Reply> {
  const events = client.responses.stream({
    model: MODEL,
    input: QUESTION,
    max_output_tokens: MAX_TOKENS,
    temperature: 0,
    ...budgeted,
    ...fields,
  });
  let thought = "";
  let text = "";
  let final: OpenAI.Responses.Response | undefined;
  for await (const event of events) {
    if (event.type === "response.reasoning_text.delta") thought += event.delta;
    if (event.type === "response.reasoning_summary_text.delta") thought += event.delta;
    if (event.type === "response.output_text.delta") text += event.delta;
    if (event.type === "response.completed" || event.type === "response.incomplete") {
      final = event.response;
    }
  }
  const finals = { thought: "", text: "" };
  for (const item of final!.output) {
    if (item.type === "reasoning") {
      finals.thought += (item.content ?? item.summary).map((part) => part.text).join("");
    }
    if (item.type === "message") {
      finals.text += item.content.map((part) => ("text" in part ? part.text : "")).join("");
    }
  }
  return { thought, text, final_thought: finals.thought, final_text: finals.text };
}

async function thoughts(): Promise<Reply> {
  return {
    hidden: await streamThought({}),
    shown: await streamThought({ include_reasoning: true }),
    summarised: await streamThought({ reasoning: { summary: "auto" } }),
  };
}

// How far a hidden thought is, in chunks without text.
async function progress(): Promise<Reply> {
  const options = { include_usage: true, include_thinking_progress: true };
  const chunks = await client.chat.completions.create({
    model: MODEL,
    messages: question,
    max_completion_tokens: MAX_TOKENS,
    temperature: 0,
    stream: true,
    stream_options: options,
    ...budgeted,
  });
  const counts: number[] = [];
  let reasoning_tokens = 0;
  for await (const chunk of chunks) {
    for (const choice of chunk.choices) {
      const { thinking } = choice as typeof choice & { thinking?: { used: number } };
      if (thinking) counts.push(thinking.used);
    }
    reasoning_tokens =
      chunk.usage?.completion_tokens_details?.reasoning_tokens ?? reasoning_tokens;
  }
  return { counts, reasoning_tokens };
}

// A response in the background, whose stream is lost and taken up again.
async function background(): Promise<Reply> {
  const created = await client.responses.create({
    model: MODEL,
    input: QUESTION,
    background: true,
    stream: true,
    max_output_tokens: MAX_TOKENS,
    temperature: 0,
    ...budgeted,
  });
  const numbers: number[] = [];
  let id = "";
  for await (const event of created) {
    if (event.type === "response.created") id = event.response.id;
    numbers.push(event.sequence_number);
    if (numbers.length === 4) break;
  }
  const starting_after = numbers.at(-1)!;
  const events = await client.responses.retrieve(id, { stream: true, starting_after });
  let text = "";
  let last = "";
  for await (const event of events) {
    numbers.push(event.sequence_number);
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event.type;
  }
  const stored = await client.responses.retrieve(id);
  const cancelled = await client.responses.cancel(id); // it has ended: it stays as it is
  return { numbers, text, stored: stored.output_text, last, statuses: [stored.status, cancelled.status] };
}

async function socket(): Promise<Reply> {
  const connection = new ResponsesWS(client);
  const ended = new Promise<OpenAI.Responses.Response>((resolve, reject) => {
    connection.on("error", reject);
    connection.on("response.completed", (event) => resolve(event.response));
    connection.on("response.incomplete", (event) => resolve(event.response));
  });
  connection.send({
    type: "response.create",
    model: MODEL,
    input: QUESTION,
    max_output_tokens: MAX_TOKENS,
    temperature: 0,
    ...budgeted,
  });
  const response = await ended;
  connection.close();
  const texts = response.output.map((item) =>
    item.type === "message"
      ? item.content.map((part) => ("text" in part ? part.text : "")).join("")
      : "",
  );
  return {
    text: texts.join(""),
    reasoning_tokens: response.usage!.output_tokens_details.reasoning_tokens,
  };
}

await report("openai", {
  plain,
  streamed: stream,
  budget,
  tools,
  structured,
  responses,
  thoughts,
  progress,
  background,
  socket,
});
