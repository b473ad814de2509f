// The operator's page: load, queue, budgets, stops and quotas, from the server's own metrics.
import { render } from "preact";
import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import { call } from "./api.js";
import { Header } from "./header.js";
import { html } from "./html.js";
import { parseMetrics, quantile, sum, sumBy } from "./metrics.js";

const PERIOD_MILLISECONDS = 2000;
const NUM_KEPT = 150; // five minutes
const NUM_QUOTAS = 50;

const STOPS = {
  natural: "finished", budget: "budget used up", grace: "near the budget's end", loop: "loop",
  confident: "certain", time: "time", caller: "ended by caller", eos: "end of reply",
  max_tokens: "maximum length", cancelled: "cancelled", none: "no thought",
};

function Status() {
  const [history, error, isPaused, pause, reload] = useHistory();
  const latest = history.at(-1);
  return html`
    <${Header} page="status" needsKey=${error?.status === 401 || error?.status === 403} onKey=${reload}>
      <button type="button" aria-pressed=${isPaused} onClick=${pause}>${isPaused ? "Paused" : "Pause"}</button>
    <//>
    <main class="status">
      <h1>Status</h1>
      ${error && html`
        <div class="failure" role="alert">
          <p><strong>${error.status || "No connection"}</strong> ${error.message}. ${explainError(error)}</p>
        </div>
      `}
      ${latest ? html`<${Board} history=${history} />` : !error && html`<p role="status">Asking for /metrics…</p>`}
    </main>
  `;
}

function explainError(error) {
  if (error.status === 401) return "Set a key that may read metrics (top right).";
  if (error.status === 403) return "This key may not: its entry needs reads_metrics = true.";
  if (error.status === 404) return "A proxy keeps metrics back: open this page on the server itself.";
  return "The page goes on asking; figures are the last ones that came.";
}

/** What was read, oldest first: {time, samples}. */
function useHistory() {
  const history = useRef([]);
  const [error, setError] = useState(null);
  const [isPaused, setPaused] = useState(false);
  const [round, next] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    if (isPaused) return undefined;
    const abort = new AbortController();
    let timer;
    const read = async () => {
      try {
        const text = await call("metrics", { signal: abort.signal, text: true });
        history.current = [...history.current, { time: performance.now(), samples: parseMetrics(text) }];
        history.current = history.current.slice(-NUM_KEPT);
        setError(null);
        next();
      } catch (problem) {
        if (problem.name === "AbortError") return;
        setError(problem);
      }
      // One after the other: a slow server is not asked more often than it answers.
      timer = setTimeout(read, PERIOD_MILLISECONDS);
    };
    read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [isPaused, error?.status === 401 ? round : 0]);
  return [history.current, error, isPaused, () => setPaused(!isPaused), next];
}

function Board({ history }) {
  const { samples } = history.at(-1);
  const gauge = (name) => sum(samples, name);
  const isUp = gauge("thinking_engine_up") > 0;
  const [build] = samples.get("thinking_build_info") ?? [];
  const rates = (name) => toRates(history, name);
  const values = (name) => history.map((one) => sum(one.samples, name));
  const engines = gauge("thinking_engines");
  return html`
    <p class=${isUp ? "state is-up" : "state is-down"} role="status">
      ${isUp ? "Ready" : "Not ready"}${build?.labels.model ? `: ${build.labels.model}` : ""}
      <small> version ${build?.labels.version}, vLLM ${build?.labels.vllm}</small>
    </p>
    <div class="tiles">
      <${Tile} name="Requests running" value=${count(gauge("thinking_admitted_requests"))} series=${values("thinking_admitted_requests")} />
      <${Tile} name="Requests waiting" value=${count(gauge("thinking_queue_length"))} series=${values("thinking_queue_length")} />
      <${Tile} name="Load" value=${share(gauge("thinking_load"))} series=${values("thinking_load")} most=${1}
        note=${`budgets at ${share(gauge("thinking_load_budget_share"))}`} />
      <${Tile} name="Hidden tokens a second" value=${latestOf(rates("thinking_reasoning_tokens_total"))} series=${rates("thinking_reasoning_tokens_total")} />
      <${Tile} name="Answer tokens a second" value=${latestOf(rates("thinking_answer_tokens_total"))} series=${rates("thinking_answer_tokens_total")} />
      <${Tile} name="Wait for the answer, median" value=${seconds(quantile(samples, "thinking_time_to_first_answer_token_seconds", 0.5))}
        note=${`95 %: ${seconds(quantile(samples, "thinking_time_to_first_answer_token_seconds", 0.95))}`} />
      ${engines > 0 && html`<${Tile} name="Engines ready" value=${`${count(gauge("thinking_engines_ready"))} of ${count(engines)}`} />`}
      <${Tile} name="Refused requests" value=${count(gauge("thinking_rejections_total"))} note="since the start" />
    </div>
    <${Budgets} samples=${samples} />
    <div class="columns">
      <${Bars} title="What ended the thoughts" sums=${sumBy(samples, "thinking_stops_total", "cause")} names=${STOPS} empty="No reply has ended yet." />
      <${Bars} title="What made budgets smaller than asked" sums=${sumBy(samples, "thinking_budget_limited_total", "by")} empty="Nothing has." />
      <${Bars} title="Why requests were refused" sums=${sumBy(samples, "thinking_rejections_total", "cause")} empty="None was." />
    </div>
    <${Quotas} samples=${samples} />
  `;
}

function Budgets({ samples }) {
  const mean = (name) => {
    const number = sum(samples, `${name}_count`);
    return number ? sum(samples, `${name}_sum`) / number : null;
  };
  const rows = [
    ["asked for", "thinking_budget_requested_tokens"],
    ["granted", "thinking_budget_tokens"],
    ["used", "thinking_used_tokens"],
  ];
  const number = (value) => (value === null ? "–" : count(value));
  return html`
    <section>
      <h2 id="budgets">Budgets, in tokens a choice</h2>
      <div class="scrolls" tabindex="0" role="region" aria-labelledby="budgets">
        <table>
          <thead><tr><th scope="col">budget</th><th scope="col">choices</th><th scope="col">mean</th><th scope="col">median</th><th scope="col">95 %</th></tr></thead>
          <tbody>
            ${rows.map(([label, name]) => html`
              <tr key=${name}>
                <th scope="row">${label}</th>
                <td>${count(sum(samples, `${name}_count`))}</td>
                <td>${number(mean(name))}</td>
                <td>${number(quantile(samples, name, 0.5))}</td>
                <td>${number(quantile(samples, name, 0.95))}</td>
              </tr>
            `)}
          </tbody>
        </table>
      </div>
    </section>
  `;
}

function Quotas({ samples }) {
  const used = [...(samples.get("thinking_quota_used_ratio") ?? [])].sort((a, b) => b.value - a.value);
  return html`
    <section aria-labelledby="quotas">
      <h2 id="quotas">Quotas by key</h2>
      ${!used.length && html`<p>No key with a quota has asked yet.</p>`}
      <ul class="bars">
        ${used.slice(0, NUM_QUOTAS).map(({ labels, value }) => html`
          <${Bar} key=${`${labels.key}/${labels.quota}`} name=${`${labels.key}: ${labels.quota.replaceAll("_", " ")}`} part=${Math.min(1, value)} text=${share(value)} />
        `)}
      </ul>
      ${used.length > NUM_QUOTAS && html`<p>The ${NUM_QUOTAS} fullest of ${used.length}.</p>`}
    </section>
  `;
}

function Bars({ title, sums, names = {}, empty }) {
  const rows = [...sums].sort((a, b) => b[1] - a[1]);
  const all = rows.reduce((total, [, value]) => total + value, 0);
  const id = title.replaceAll(" ", "-");
  return html`
    <section aria-labelledby=${id}>
      <h2 id=${id}>${title}</h2>
      ${!rows.length && html`<p>${empty}</p>`}
      <ul class="bars">
        ${rows.map(([name, value]) => html`
          <${Bar} key=${name} name=${names[name] ?? name.replaceAll("_", " ")} part=${value / all} text=${count(value)} />
        `)}
      </ul>
    </section>
  `;
}

function Bar({ name, part, text }) {
  return html`
    <li>
      <span class="bar-name">${name}</span>
      <span class="bar-track"><span class="bar-fill" style=${{ width: `${100 * part}%` }}></span></span>
      <span class="bar-value">${text}</span>
    </li>
  `;
}

function Tile({ name, value, note, series, most }) {
  return html`
    <div class="tile">
      <span class="tile-name">${name}</span>
      <span class="tile-value">${value}</span>
      <small>${note ?? " "}</small>
      ${series?.length > 1 && html`<${Line} series=${series} most=${most} />`}
    </div>
  `;
}

/** The last minutes as a line; the figure above it says the same to those who see no lines. */
function Line({ series, most }) {
  const top = most ?? Math.max(1e-9, ...series);
  const points = series
    .map((value, place) => `${(100 * place) / (series.length - 1)},${29 - (28 * value) / top}`)
    .join(" ");
  return html`
    <svg viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true"><polyline points=${points} /></svg>
  `;
}

/** Return the growth a second of a counter, between each two readings; a restart counts as 0. */
function toRates(history, name) {
  return history.slice(1).map((one, place) => {
    const earlier = history[place];
    const grown = sum(one.samples, name) - sum(earlier.samples, name);
    return Math.max(0, (1000 * grown) / (one.time - earlier.time));
  });
}

const count = (value) => Math.round(value).toLocaleString("en");
const latestOf = (series) => (series.length ? count(series.at(-1)) : "–");
const share = (value) => `${Math.round(100 * value)} %`;
const seconds = (value) => (value === null ? "–" : `${value.toFixed(value < 10 ? 2 : 0)} s`);

const place = document.getElementById("app");
place.replaceChildren();
render(html`<${Status} />`, place);
