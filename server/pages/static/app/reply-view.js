// A reply as it comes: the bar of its budget, its thought if shown, its answer, its receipt.
import { useMemo, useState } from "preact/hooks";
import { describeBudget, formatTokens } from "./budget.js";
import { Failure, toSentence } from "./failure.js";
import { html } from "./html.js";
import { renderMarkdown } from "./markdown.js";
import { Receipt, formatSeconds } from "./receipt.js";

export function ReplyView({ reply, title, onRetry }) {
  const label = title ?? `With ${describeBudget(reply.budget)}`;
  return html`
    <article class="reply" aria-label=${label}>
      ${title && html`<h2 class="reply-title">${title}</h2>`}
      <${ThoughtBar} reply=${reply} />
      ${reply.thought &&
      html`
        <details class="thought" open>
          <summary>Thought</summary>
          <div class="thought-text" tabindex="0" role="group" aria-label="Thought">${reply.thought}</div>
        </details>
      `}
      ${reply.answer && html`<${Answer} text=${reply.answer} />`}
      ${reply.phase === "stopped" && html`<p class="note">Stopped; what had come is kept.</p>`}
      ${reply.error && html`<${Failure} error=${reply.error} onRetry=${onRetry} />`}
      <${Receipt} reply=${reply} />
    </article>
  `;
}

function Answer({ text }) {
  const content = useMemo(() => renderMarkdown(text), [text]);
  return html`<div class="answer" dangerouslySetInnerHTML=${{ __html: content }}></div>`;
}

/** The budget that fills up while the model thinks, with what can be done about it. */
function ThoughtBar({ reply }) {
  const [said, setSaid] = useState("");
  const { progress, receipt, phase } = reply;
  const used = receipt?.used ?? progress?.used ?? 0;
  const budget = receipt?.budget ?? progress?.budget ?? null;
  if (phase === "failed" && !used) return null;
  if (budget === 0 || (receipt && receipt.stop === "none")) return null;
  const isThinking = phase === "thinking";
  const seconds = receipt?.seconds ?? progress?.seconds ?? 0;
  const text =
    budget === null
      ? reply.isRunning ? "Waiting for the first token…" : ""
      : `${used.toLocaleString("en")} of ${formatTokens(budget)} · ${formatSeconds(seconds)}`;
  if (!text) return null;
  const more = Math.max(16, Math.round((budget ?? 0) / 2));
  const order = (work) => async () => {
    try {
      setSaid((await work()) ?? "");
    } catch (error) {
      setSaid(toSentence(error.message));
    }
  };
  const extend = order(async () => `${formatTokens(await reply.extendThought(more))} granted.`);
  return html`
    <div class=${`bar ${isThinking ? "is-thinking" : ""}`}>
      <div
        class="bar-track" role="progressbar" aria-label="Thinking budget used"
        aria-valuemin="0" aria-valuemax=${budget ?? 1} aria-valuenow=${used} aria-valuetext=${text}
      >
        <div class="bar-fill" style=${{ width: `${budget ? (100 * used) / budget : 0}%` }}></div>
      </div>
      <div class="bar-line">
        <span class="bar-text">${isThinking ? "Thinking: " : ""}${text}</span>
        ${isThinking &&
        html`
          <button type="button" onClick=${order(() => reply.endThought())}>Answer now</button>
          <button type="button" onClick=${extend}>${more} tokens more</button>
        `}
      </div>
      <p class="note" role="status">${said}</p>
    </div>
  `;
}
