// From the settings of the page to the body of a request, and to code that sends the same.

/** How much to think: as the server does by default, an effort, or a number of tokens. */
export const DEFAULT_BUDGET = { kind: "default" };

/** Return the fields of the body that say how much to think. */
export function toBudgetFields(budget) {
  if (budget.kind === "tokens") return { max_thinking_tokens: budget.tokens };
  if (budget.kind === "effort") return { reasoning_effort: budget.effort };
  return {};
}

/** Return the body of a chat, without what only a page needs (see `toStreamed`). */
export function makeBody(model, messages, settings, budget) {
  const { options, ...fields } = settings.fields;
  const system = settings.system.trim();
  const body = {
    model,
    messages: system ? [{ role: "system", content: system }, ...messages] : messages,
    ...toBudgetFields(budget),
    ...fields,
  };
  if (settings.showThoughts) body.include_reasoning = true;
  if (options && Object.keys(options).length) body.thinking_options = options;
  return body;
}

export function toStreamed(body) {
  const stream_options = { include_usage: true, include_thinking_progress: true };
  return { ...body, stream: true, stream_options };
}

export function toCurl(body, url, hasKey) {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  const key = hasKey ? ` \\\n  -H "Authorization: Bearer $OPENAI_API_KEY"` : "";
  return `curl ${url}v1/chat/completions${key} \\\n  -H 'Content-Type: application/json' \\\n  -d '${json}'`;
}

// What OpenAI's client takes as arguments of its own.
const OWN_ARGUMENTS = new Set([
  "model", "messages", "temperature", "top_p", "seed", "max_completion_tokens", "reasoning_effort",
]);

export function toPython(body, url, hasKey) {
  const own = Object.entries(body).filter(([name]) => OWN_ARGUMENTS.has(name));
  const extra = Object.entries(body).filter(([name]) => !OWN_ARGUMENTS.has(name));
  const lines = own.map(([name, value]) => `    ${name}=${toLiteral(value, 1)},`);
  if (extra.length) lines.push(`    extra_body=${toLiteral(Object.fromEntries(extra), 1)},`);
  const key = hasKey ? "" : ', api_key="none"';
  return [
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${url}v1"${key})`,
    "reply = client.chat.completions.create(",
    ...lines,
    ")",
    "print(reply.choices[0].message.content)",
    "print(reply.choices[0].thinking)",
  ].join("\n");
}

/** Return a JSON value as a Python literal. */
function toLiteral(value, depth) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  const items = isList
    ? value.map((item) => toLiteral(item, depth + 1))
    : Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${toLiteral(v, depth + 1)}`);
  const [begin, end] = isList ? "[]" : "{}";
  const line = begin + items.join(", ") + end;
  if (line.length <= 76 && !line.includes("\n")) return line;
  const indent = "    ".repeat(depth + 1);
  return `${begin}\n${items.map((i) => `${indent}${i},\n`).join("")}${"    ".repeat(depth)}${end}`;
}
