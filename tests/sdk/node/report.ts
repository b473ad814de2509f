// What every driver in TypeScript shares; says what drivers/report.py says.
import { readFileSync } from "node:fs";

import { z } from "zod";

export const BASE_URL = process.argv[2]!;
export const MODEL = "smollm2-135m-instruct";
export const QUESTION = "What is 17 + 25?";
export const BUDGET = 24;
export const MAX_TOKENS = 60;

export const Weather = z.object({
  city: z.enum(["Berlin", "Paris"]),
  unit: z.enum(["celsius", "fahrenheit"]),
});
export const TOOL_NAME = "get_weather";
export const TOOL_TEXT = "The weather of a city.";
export const WEATHER_QUESTION = "How warm is it in Paris, in celsius?";

export type Reply = Record<string, unknown>;

export function streamed(pieces: string[]): Reply {
  return { text: pieces.join(""), num_pieces: pieces.filter((piece) => piece).length };
}

export async function report(
  name: string,
  features: Record<string, () => Promise<Reply>>,
): Promise<void> {
  const replies: Record<string, Reply> = {};
  for (const [feature, ask] of Object.entries(features)) {
    replies[feature] = await ask().catch((error) => ({ error: String(error.stack ?? error) }));
  }
  const manifest = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, "utf-8"));
  console.log("\n" + JSON.stringify({ version, replies }));
}
