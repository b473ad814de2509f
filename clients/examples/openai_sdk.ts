// OpenAI's SDK for TypeScript. `npm install openai tsx`, then `npx tsx openai_sdk.ts`.
import OpenAI from "openai";

const model = process.env.MODEL ?? "smollm2-135m-instruct";
const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "none",
});
const messages: OpenAI.ChatCompletionMessageParam[] = [
  { role: "user", content: "What is 17 + 25?" },
];

console.log("# A plain call");
const plain = await client.chat.completions.create({ model, messages, max_tokens: 100 });
console.log(plain.choices[0]?.message.content);

console.log("\n# Streamed");
const stream = await client.chat.completions.create({
  model,
  messages,
  max_tokens: 100,
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}
console.log();

console.log("\n# With a budget: at most 64 hidden tokens, all counted");
// The SDK's types lack our fields; a spread object passes them.
const budget = { max_thinking_tokens: 64, include_reasoning: true }; // show the thought, too
type Choice = OpenAI.ChatCompletion.Choice & {
  thinking: Record<string, unknown>;
  message: { reasoning?: string };
};
const thoughtful = await client.chat.completions.create({
  model,
  messages,
  max_tokens: 100,
  ...budget,
});
const choice = thoughtful.choices[0] as Choice;
console.log("thought:", choice.message.reasoning);
console.log("answer: ", choice.message.content);
console.log("receipt:", JSON.stringify(choice.thinking));
console.log("usage:  ", thoughtful.usage?.completion_tokens_details);

console.log("\n# With a tool");
const tools: OpenAI.ChatCompletionTool[] = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "Get the weather in a city.",
      parameters: {
        type: "object",
        properties: { city: { type: "string", enum: ["Berlin", "Paris"] } },
        required: ["city"],
        additionalProperties: false,
      },
    },
  },
];
const talk: OpenAI.ChatCompletionMessageParam[] = [
  { role: "user", content: "What is the weather in Paris?" },
];
const called = await client.chat.completions.create({
  model,
  messages: talk,
  tools,
  tool_choice: "required", // a large model may decide by itself: "auto"
  ...{ max_thinking_tokens: 64 },
});
const message = called.choices[0]!.message;
talk.push(message);
for (const call of message.tool_calls ?? []) {
  if (call.type !== "function") continue;
  console.log(`call:   ${call.function.name}(${call.function.arguments})`);
  talk.push({ role: "tool", tool_call_id: call.id, content: "Sunny, 21 °C." });
}
const answered = await client.chat.completions.create({
  model,
  messages: talk,
  tools,
  tool_choice: "none",
  max_tokens: 100,
});
console.log("answer:", answered.choices[0]?.message.content);
