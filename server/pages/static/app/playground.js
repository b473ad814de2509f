// The playground: which model, how much to think, and the conversation or the map of a text.
import { render } from "preact";
import { useEffect, useMemo, useReducer, useState } from "preact/hooks";
import { call } from "./api.js";
import { BudgetControl, countTokens } from "./budget.js";
import { ChatView } from "./chat-view.js";
import { Conversation } from "./conversation.js";
import { Curve } from "./curve.js";
import { Header } from "./header.js";
import { html } from "./html.js";
import { MapView } from "./map-view.js";
import { Failure } from "./failure.js";
import { DEFAULT_BUDGET } from "./request.js";
import { EMPTY_SETTINGS, SettingsPanel } from "./settings-panel.js";

const RETRY_MILLISECONDS = 2000;

function Playground() {
  const [cards, error, reload] = useModels();
  const [name, setName] = useState(null);
  const [view, setView] = useState("chat");
  const [budgets, setBudgets] = useState([DEFAULT_BUDGET, { kind: "tokens", tokens: 0 }]);
  const [compares, setCompares] = useState(false);
  const [settings, setSettings] = useState(EMPTY_SETTINGS);
  const [, redraw] = useReducer((count) => count + 1, 0);
  const conversation = useMemo(() => new Conversation(redraw), []);
  const card = cards?.find((one) => one.id === name) ?? cards?.[0];
  const evaluation = useEvaluation(card);
  const asked = compares ? budgets : budgets.slice(0, 1);
  const setBudget = (place) => (budget) =>
    setBudgets(budgets.map((one, index) => (index === place ? budget : one)));
  const mayShow = card?.thinking.include_reasoning ?? false;
  const header = html`
    <${Header} page="playground" needsKey=${error?.status === 401} onKey=${reload}>
      ${cards?.length > 1 &&
      html`
        <label class="model">
          <span class="hidden">Model</span>
          <select id="model" value=${card.id} onChange=${(event) => setName(event.target.value)}>
            ${cards.map((one) => html`<option key=${one.id} value=${one.id}>${one.id}</option>`)}
          </select>
        </label>
      `}
      ${cards?.length === 1 && html`<span class="model">${card.id}</span>`}
    <//>
  `;
  if (!card) {
    return html`
      ${header}
      <main class="wait"><h1 class="hidden">Playground</h1>
        ${error
          ? html`<${Failure} error=${error} onRetry=${reload} />`
          : html`<p role="status">Waiting for the server…</p>`}
        ${error?.status === 503 && html`<p role="status">This page goes on by itself once it is ready.</p>`}
      </main>
    `;
  }
  return html`
    ${header}
    <main class="playground">
      <aside aria-label="Thinking">
        <${Panel}>
          <${BudgetControl} label="Thinking budget" name="budget" budget=${budgets[0]} card=${card}
            onChange=${setBudget(0)} />
          <label class="check">
            <input type="checkbox" id="compare" checked=${compares}
              onChange=${(event) => setCompares(event.target.checked)} />
            <span>Compare with a second budget</span>
          </label>
          ${compares &&
          html`
            <${BudgetControl} label="Second budget" name="second" budget=${budgets[1]} card=${card}
              onChange=${setBudget(1)} />
          `}
          ${evaluation &&
          html`<${Curve} evaluation=${evaluation} budgets=${asked.map((one) => countTokens(one, card))} />`}
          <${SettingsPanel} settings=${settings} mayShow=${mayShow} onChange=${setSettings} />
        <//>
      </aside>
      <section class="stage">
        <h1 class="hidden">Playground</h1>
        <div class="marks views" role="group" aria-label="What to do">
          <button type="button" class="mark" aria-pressed=${view === "chat"} onClick=${() => setView("chat")}>Chat</button>
          <button type="button" class="mark" aria-pressed=${view === "map"} onClick=${() => setView("map")}>Map of a text</button>
        </div>
        <div hidden=${view !== "chat"} class="view">
          <${ChatView} conversation=${conversation} card=${card} budgets=${asked}
            settings=${mayShow ? settings : { ...settings, showThoughts: false }} />
        </div>
        <div hidden=${view !== "map"} class="view"><${MapView} model=${card.id} /></div>
      </section>
    </main>
  `;
}

/** The settings: beside the conversation, or folded above it where the screen is narrow. */
function Panel({ children }) {
  const isWide = useMemo(() => matchMedia("(min-width: 48rem)").matches, []);
  return html`<details class="panel" open=${isWide}><summary>Thinking budget and options</summary>${children}</details>`;
}

/** The models that the key may use; while the server loads, asked for again and again. */
function useModels() {
  const [state, setState] = useState({ cards: null, error: null, attempt: 0 });
  const reload = () => setState((old) => ({ ...old, attempt: old.attempt + 1 }));
  useEffect(() => {
    const abort = new AbortController();
    let timer;
    call("v1/models", { signal: abort.signal })
      .then(({ data }) => setState((old) => ({ ...old, cards: data, error: null })))
      .catch((error) => {
        if (error.name === "AbortError") return;
        setState((old) => ({ ...old, cards: null, error }));
        if (error.status === 503) timer = setTimeout(reload, RETRY_MILLISECONDS);
      });
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [state.attempt]);
  return [state.cards, state.error, reload];
}

function useEvaluation(card) {
  const [evaluation, setEvaluation] = useState(null);
  useEffect(() => {
    setEvaluation(null);
    if (!card) return undefined;
    const abort = new AbortController();
    call(`v1/thinking/evaluation?model=${encodeURIComponent(card.id)}`, { signal: abort.signal })
      .then(setEvaluation)
      .catch(() => {}); // most models have none
    return () => abort.abort();
  }, [card?.id]);
  return evaluation;
}

const place = document.getElementById("app");
place.replaceChildren();
render(html`<${Playground} />`, place);
