// How much to think: a slider in tokens, with the efforts as marks.
import { html } from "./html.js";

const STEPS = 1000;
// The embedded models' context is short; where there is no other bound, this is plenty.
const LARGEST = 32768;

/** Return the largest budget worth offering for a model's card. */
export function findLargest(card) {
  const { max_tokens: ceiling } = card.thinking;
  return Math.max(1, Math.min(ceiling ?? LARGEST, card.context_length, LARGEST));
}

/** Return the tokens that `budget` means with this model, never more than the largest. */
export function countTokens(budget, card) {
  const largest = findLargest(card);
  if (budget.kind === "tokens") return Math.min(budget.tokens, largest);
  const { effort_tokens: efforts, default_tokens: byDefault } = card.thinking;
  const tokens = budget.kind === "effort" ? efforts[budget.effort] : byDefault;
  return Math.min(tokens ?? largest, largest);
}

export function describeBudget(budget) {
  if (budget.kind === "tokens") return formatTokens(budget.tokens);
  if (budget.kind === "effort") return `effort ${budget.effort}`;
  return "the server's default";
}

export function formatTokens(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "token" : "tokens"}`;
}

// Small budgets need a finer hand than large ones.
const toPosition = (tokens, largest) => Math.round(STEPS * Math.sqrt(tokens / largest));
const toTokens = (position, largest) => Math.round(largest * (position / STEPS) ** 2);

export function BudgetControl({ label, name, budget, card, onChange }) {
  const largest = findLargest(card);
  const tokens = countTokens(budget, card);
  const setTokens = (count) => onChange({ kind: "tokens", tokens: count });
  const onSlide = (event) => {
    const position = Number(event.target.value);
    // A step of the keyboard always moves it by a token at least.
    const next = toTokens(position, largest);
    const isSmall = next === tokens && position !== toPosition(tokens, largest);
    setTokens(isSmall ? tokens + (position > toPosition(tokens, largest) ? 1 : -1) : next);
  };
  const onType = (event) => {
    const count = Number.parseInt(event.target.value, 10);
    if (count >= 0) setTokens(Math.min(count, largest));
  };
  const marks = [
    { budget: { kind: "default" }, text: "default" },
    ...Object.keys(card.thinking.effort_tokens).map((effort) => ({
      budget: { kind: "effort", effort },
      text: effort,
    })),
  ];
  const isChosen = (mark) =>
    mark.budget.kind === budget.kind && mark.budget.effort === budget.effort;
  return html`
    <fieldset class="budget">
      <legend>${label}</legend>
      <div class="budget-line">
        <input
          type="range" min="0" max=${STEPS} step="1" id=${`${name}-range`}
          aria-label=${`${label}, in tokens`} aria-valuetext=${formatTokens(tokens)}
          value=${toPosition(tokens, largest)} onInput=${onSlide}
        />
        <input
          type="number" min="0" max=${largest} id=${`${name}-number`}
          aria-label=${`${label}, number of tokens`} value=${tokens} onChange=${onType}
        />
      </div>
      <div class="marks" role="group" aria-label=${`${label}: efforts`}>
        ${marks.map(
          (mark) => html`
            <button
              type="button" class="mark" key=${mark.text} aria-pressed=${isChosen(mark)}
              title=${formatTokens(countTokens(mark.budget, card))}
              onClick=${() => onChange(mark.budget)}
            >${mark.text}</button>
          `,
        )}
      </div>
    </fieldset>
  `;
}
