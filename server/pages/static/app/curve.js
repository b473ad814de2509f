// Accuracy against budget, where the model has been evaluated, with the budget that is set.
import { html } from "./html.js";

const WIDTH = 300;
const HEIGHT = 150;
const LEFT = 40;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 24;

export function Curve({ evaluation, budgets }) {
  const points = evaluation.points
    .filter((point) => typeof point.budget === "number" && point.accuracy)
    .sort((a, b) => a.budget - b.budget);
  if (points.length < 2) return null;
  const largest = points.at(-1).budget;
  const x = (budget) =>
    LEFT + (WIDTH - LEFT - RIGHT) * Math.sqrt(Math.min(budget, largest) / largest);
  const y = (share) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
  const line = points.map((p) => `${x(p.budget)},${y(p.accuracy.share)}`).join(" ");
  const upper = points.map((p) => `${x(p.budget)},${y(p.accuracy.interval[1])}`);
  const lower = points.map((p) => `${x(p.budget)},${y(p.accuracy.interval[0])}`).reverse();
  const { num_tasks: count, name } = evaluation.tasks;
  const summary = points
    .map((p) => `${p.budget} tokens: ${formatShare(p.accuracy.share)}`)
    .join(", ");
  const marks = points.filter((p) => x(p.budget) - LEFT > 24 || p.budget === 0);
  return html`
    <figure class="curve">
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`Accuracy at budgets. ${summary}`}>
        ${[0, 0.5, 1].map(
          (share) => html`
            <g key=${share}>
              <line class="grid" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${y(share)} y2=${y(share)} />
              <text class="tick" x=${LEFT - 5} y=${y(share) + 3} text-anchor="end">${formatShare(share)}</text>
            </g>
          `,
        )}
        ${spread(marks, (p) => x(p.budget), 26).map(
          (p) => html`
            <text class="tick" key=${p.budget} x=${x(p.budget)} y=${HEIGHT - 8} text-anchor="middle">${p.budget}</text>
          `,
        )}
        <polygon class="band" points=${[...upper, ...lower].join(" ")} />
        <polyline class="line" points=${line} />
        ${points.map(
          (p) => html`<circle class="point" key=${p.budget} cx=${x(p.budget)} cy=${y(p.accuracy.share)} r="2.5" />`,
        )}
        ${budgets.map(
          (budget, place) => html`
            <line class=${`here here-${place}`} key=${place} x1=${x(budget)} x2=${x(budget)} y1=${TOP} y2=${HEIGHT - BOTTOM} />
          `,
        )}
      </svg>
      <figcaption>
        Right answers by budget: ${count} tasks (${name}), measured ${evaluation.created.slice(0, 10)}.
        ${evaluation.knee ? ` ${evaluation.knee.budget} tokens are enough here.` : ""}
      </figcaption>
    </figure>
  `;
}

const formatShare = (share) => `${Math.round(100 * share)} %`;

/** Return the points whose labels have room beside each other. */
function spread(points, position, room) {
  const kept = [];
  for (const point of points) {
    if (!kept.length || position(point) - position(kept.at(-1)) >= room) kept.push(point);
  }
  return kept;
}
