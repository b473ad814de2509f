// Where in a text a thought helps: each token with the gain of a thought before it.
import { useRef, useState } from "preact/hooks";
import { stream } from "./api.js";
import { html } from "./html.js";
import { Failure } from "./failure.js";

export function MapView({ model }) {
  const [text, setText] = useState("");
  const [question, setQuestion] = useState("");
  const [tokens, setTokens] = useState(32);
  const [run, setRun] = useState(null); // {positions, total, summary, error}
  const abort = useRef(null);
  const isRunning = Boolean(run) && !run.summary && !run.error;
  const draw = async (event) => {
    event.preventDefault();
    abort.current = new AbortController();
    const body = { model, text, thought_tokens: tokens, temperature: 0, stream: true };
    if (question.trim()) body.messages = [{ role: "user", content: question }];
    let state = { positions: [], total: null, summary: null, error: null };
    setRun(state);
    try {
      for await (const one of stream("v1/thinking/map", body, abort.current.signal)) {
        if (one.object === "thinking.map") state = { ...state, summary: one };
        else if (one.position) state = { ...state, positions: [...state.positions, one.position] };
        else state = { ...state, total: one.total };
        setRun(state);
      }
    } catch (error) {
      setRun(error.name === "AbortError" ? null : { ...state, error });
    }
  };
  return html`
    <form class="map" onSubmit=${draw}>
      <p>
        The model thinks before every token of a text, and the page shows whether that made the token
        more probable. Most tokens don't need a thought: that is what budgets inside an answer are for.
      </p>
      <label class="field">
        <span>Question before the text (may be empty)</span>
        <input type="text" id="map-question" value=${question} onInput=${(event) => setQuestion(event.target.value)} />
      </label>
      <label class="field">
        <span>Text</span>
        <textarea id="map-text" rows="3" value=${text} onInput=${(event) => setText(event.target.value)}></textarea>
      </label>
      <label class="field">
        <span>Longest thought at each token</span>
        <input type="number" id="map-tokens" min="1" value=${tokens}
          onInput=${(event) => setTokens(event.target.valueAsNumber || 32)} />
      </label>
      <div class="buttons">
        ${isRunning
          ? html`<button type="button" onClick=${() => abort.current.abort()}>Stop</button>`
          : html`<button type="submit" class="primary" disabled=${!text}>Draw the map</button>`}
      </div>
    </form>
    ${run?.error && html`<${Failure} error=${run.error} />`}
    ${isRunning && html`<p role="status">${run.positions.length} of ${run.total ?? "…"} tokens</p>`}
    ${run?.positions.length > 0 && html`<${Drawing} run=${run} />`}
  `;
}

function Drawing({ run }) {
  const positions = [...run.positions].sort((a, b) => a.index - b.index);
  const best = [...positions].sort((a, b) => b.gain - a.gain).slice(0, 8);
  return html`
    <div class="map-text">
      ${positions.map((one) => html`
        <span key=${one.index} class=${`gain gain-${classify(one.gain)}`} title=${describe(one)}>${one.token}</span>
      `)}
    </div>
    <p class="legend">
      ${["much less", "less", "as", "more", "much more"].map((word, place) => html`
        <span key=${word} class=${`gain gain-${place}`}>${word} probable</span>
      `)}
      after a thought
    </p>
    ${run.summary && html`<p>Mean gain ${run.summary.mean_gain.toFixed(2)} nats a token.</p>`}
    <table>
      <caption>Where a thought gained most</caption>
      <thead><tr><th scope="col">token</th><th scope="col">gain (nats)</th><th scope="col">probability</th><th scope="col">with a thought</th></tr></thead>
      <tbody>
        ${best.map((one) => html`
          <tr key=${one.index}>
            <td><code>${JSON.stringify(one.token)}</code></td>
            <td>${one.gain.toFixed(2)}</td>
            <td>${formatProbability(one.logprob)}</td>
            <td>${formatProbability(one.logprob_with_thought)}</td>
          </tr>
        `)}
      </tbody>
    </table>
  `;
}

const formatProbability = (logprob) => `${(100 * Math.exp(logprob)).toFixed(1)} %`;
const describe = (one) =>
  `gain ${one.gain.toFixed(2)}: ${formatProbability(one.logprob)}, with a thought ${formatProbability(one.logprob_with_thought)}`;

function classify(gain) {
  if (gain <= -1) return 0;
  if (gain < -0.1) return 1;
  if (gain <= 0.1) return 2;
  return gain < 1 ? 3 : 4;
}
