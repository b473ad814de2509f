// A receipt in words, and in full.
import { formatTokens } from "./budget.js";
import { html } from "./html.js";

const STOPS = {
  natural: "the model had finished",
  budget: "the budget was used up",
  grace: "it was closed at the end of a sentence or line, near the end of the budget",
  loop: "it had begun to repeat itself",
  confident: "the answer was certain",
  time: "its time was over",
  caller: "you ended it",
  eos: "the model wanted to end the reply",
  max_tokens: "the reply had reached its maximum length",
  cancelled: "the request was cancelled",
};

const LIMITS = {
  model: "the model's ceiling",
  key: "the key's ceiling",
  max_completion_tokens: "the room that an answer needs within the maximum length",
  context: "the model's context length",
  load: "the server's load",
  turn: "the budget of the turn",
};

export const formatSeconds = (seconds) =>
  seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;

/** Return what a receipt says, in one or two sentences. */
export function explain(receipt) {
  const { used, budget, seconds, stop, limited_by: by, requested } = receipt;
  if (stop === "none") return "It did not think.";
  const said = [
    `Thought ${used.toLocaleString("en")} of ${formatTokens(budget)} in ${formatSeconds(seconds)}` +
      `; the thought ended because ${STOPS[stop] ?? stop}.`,
  ];
  if (by) {
    const asked = requested === null ? "" : `, not ${requested.toLocaleString("en")}`;
    said.push(`The budget was ${budget.toLocaleString("en")}${asked}: ${LIMITS[by] ?? by}.`);
  }
  return said.join(" ");
}

export function Receipt({ reply }) {
  const { receipt, usage, seconds, secondsToAnswer, finishReason } = reply;
  if (!receipt) return null;
  const reasoning = usage?.completion_tokens_details?.reasoning_tokens ?? receipt.used;
  const answer = usage ? usage.completion_tokens - reasoning : null;
  const figures = [
    ["thought", formatTokens(reasoning)],
    ["answer", answer === null ? null : formatTokens(answer)],
    ["prompt", usage ? formatTokens(usage.prompt_tokens) : null],
    ["first word of the answer", secondsToAnswer === null ? null : formatSeconds(secondsToAnswer)],
    ["in all", formatSeconds(seconds)],
    ["cost", usage?.cost === undefined ? null : `${usage.cost}`],
  ].filter(([, value]) => value !== null);
  return html`
    <div class="receipt">
      <p class="receipt-words">${explain(receipt)}</p>
      ${finishReason === "length" &&
      html`<p class="receipt-words">The answer was cut off at the maximum length.</p>`}
      ${receipt.advice?.map((line) => html`<p class="advice" key=${line}>Advice: ${line}.</p>`)}
      <dl class="figures">
        ${figures.map(
          ([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`,
        )}
      </dl>
      <details>
        <summary>Receipt in full</summary>
        <dl class="fields">
          ${Object.entries(receipt).map(
            ([name, value]) => html`
              <div key=${name}>
                <dt><code>${name}</code></dt>
                <dd><code>${typeof value === "string" ? value : JSON.stringify(value)}</code></dd>
              </div>
            `,
          )}
        </dl>
      </details>
    </div>
  `;
}
