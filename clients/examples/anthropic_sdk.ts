// Anthropic's SDK for TypeScript. `npm install @anthropic-ai/sdk tsx`, then
// `npx tsx anthropic_sdk.ts`.
import Anthropic from "@anthropic-ai/sdk";

const model = process.env.MODEL ?? "smollm2-135m-instruct";
const client = new Anthropic({
  baseURL: process.env.ANTHROPIC_BASE_URL ?? "http://127.0.0.1:8000",
  apiKey: process.env.ANTHROPIC_API_KEY ?? "none",
});
const messages: Anthropic.MessageParam[] = [{ role: "user", content: "What is 17 + 25?" }];
const textOf = (message: Anthropic.Message): string =>
  message.content.map((block) => (block.type === "text" ? block.text : "")).join("");

console.log("# A plain call");
console.log(textOf(await client.messages.create({ model, messages, max_tokens: 100 })));

console.log("\n# Streamed");
const stream = client.messages.stream({ model, messages, max_tokens: 100 });
stream.on("text", (text) => process.stdout.write(text));
await stream.finalMessage();
console.log();

console.log("\n# With a budget: at most 64 hidden tokens, all counted");
const thoughtful = await client.messages.create({
  model,
  messages,
  max_tokens: 100,
  thinking: { type: "enabled", budget_tokens: 64, display: "summarized" }, // show the thought
});
for (const block of thoughtful.content) {
  if (block.type === "thinking") console.log("thought:", block.thinking);
  if (block.type === "text") console.log("answer: ", block.text);
}
const { thinking } = thoughtful as Anthropic.Message & { thinking?: Record<string, unknown> };
console.log("receipt:", JSON.stringify(thinking));
console.log("usage:  ", thoughtful.usage.output_tokens_details);

console.log("\n# With a tool");
const tools: Anthropic.Tool[] = [
  {
    name: "get_weather",
    description: "Get the weather in a city.",
    input_schema: {
      type: "object",
      properties: { city: { type: "string", enum: ["Berlin", "Paris"] } },
      required: ["city"],
      additionalProperties: false,
    },
  },
];
const talk: Anthropic.MessageParam[] = [{ role: "user", content: "What is the weather in Paris?" }];
const called = await client.messages.create({
  model,
  messages: talk,
  max_tokens: 200,
  thinking: { type: "enabled", budget_tokens: 64 },
  tools,
  tool_choice: { type: "any" }, // a large model may decide by itself: "auto"
});
const results: Anthropic.ToolResultBlockParam[] = [];
for (const block of called.content) {
  if (block.type !== "tool_use") continue;
  console.log(`call:   ${block.name}(${JSON.stringify(block.input)})`);
  results.push({ type: "tool_result", tool_use_id: block.id, content: "Sunny, 21 °C." });
}
talk.push({ role: "assistant", content: called.content }, { role: "user", content: results });
const answered = await client.messages.create({
  model,
  messages: talk,
  max_tokens: 100,
  tools,
  tool_choice: { type: "none" },
});
console.log("answer:", textOf(answered));
