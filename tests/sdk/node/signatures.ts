// Signed receipts, as OpenAI's and Anthropic's SDKs keep them, verified as docs/ledger.md says.
//
// `ask URL` prints what the SDKs keep of four replies, `verify KEPT ROWS KEY` which of these have the
// row that was signed.
import Anthropic from "@anthropic-ai/sdk";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import OpenAI from "openai";

type Receipt = { used: number; signature: string };
type Row = { request_id: string; signature: string; receipt: { used: number } };
type Kept = { id: string; thinking: Receipt };

async function ask(url: string): Promise<Kept[]> {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const anthropic = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
  const model = "scripted";
  const messages = [{ role: "user" as const, content: "How many?" }];
  const budget = { max_thinking_tokens: 100 }; // not in the SDKs' types
  const keep = (id: string, holder: object): Kept => ({ id, ...(holder as { thinking: Receipt }) });
  const kept: Kept[] = [];

  const chat = await openai.chat.completions.create({ model, messages, ...budget });
  kept.push(keep(chat.id, chat.choices[0]!));

  const stream = await openai.chat.completions.create({ model, messages, stream: true, ...budget });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.finish_reason) kept.push(keep(chunk.id, chunk.choices[0]));
  }

  const response = await openai.responses.create({ model, input: "How many?", ...budget });
  kept.push(keep(response.id, response));

  const message = await anthropic.messages.create({ model, messages, max_tokens: 200, ...budget });
  kept.push(keep(message.id, message));
  return kept.map(({ id, thinking }) => ({ id, thinking }));
}

// RFC 8785 writes members in this order and numbers as JSON.stringify does.
function sortMembers(value: unknown): unknown {
  if (value === null || typeof value !== "object") return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, sortMembers(member)]));
}

function sign(row: Row, key: string): string {
  const { signature: _, ...signed } = row;
  const content = JSON.stringify(sortMembers(signed));
  const hmac = createHmac("sha256", Buffer.from(key, "base64url")).update(content, "utf-8");
  return `v1.${hmac.digest("base64url")}`;
}

function verify(kept: Kept[], rows: Row[], key: string): boolean[] {
  return kept.map(({ id, thinking }) => {
    const row = rows.find((row) => row.request_id === id);
    if (row === undefined) return false;
    return sign(row, key) === thinking.signature && row.receipt.used === thinking.used;
  });
}

const read = (file: string) => readFileSync(file, "utf-8");
const [command, ...args] = process.argv.slice(2) as [string, string, string, string];
if (command === "ask") {
  console.log(JSON.stringify(await ask(args[0])));
} else {
  const rows = read(args[1]).trim().split("\n").map((line) => JSON.parse(line) as Row);
  console.log(JSON.stringify(verify(JSON.parse(read(args[0])), rows, args[2])));
}
