// The options of a request in plain words. A field that is left empty is left to the server.
import { html } from "./html.js";

export const EMPTY_SETTINGS = { system: "", showThoughts: false, fields: {} };

const NUMBERS = [
  { name: "temperature", label: "Temperature", hint: "0: always the likeliest token", min: 0, max: 2, step: 0.1 },
  { name: "max_completion_tokens", label: "Longest reply, in tokens", hint: "thought and answer together", min: 1, step: 1 },
  { name: "min_thinking_tokens", label: "Shortest thought, in tokens", hint: "a thought that would end sooner goes on", min: 0, step: 1 },
  { name: "max_thinking_seconds", label: "Longest thought, in seconds", hint: "then the answer comes", min: 0.1, step: 0.1 },
];

const OPTION_NUMBERS = [
  { name: "answer_reserve", label: "Tokens kept for the answer", hint: "the thought leaves at least these", min: 1, step: 1 },
  { name: "grace", label: "Look for a good end in the last … tokens", hint: "0: cut exactly at the budget", min: 0, step: 1 },
  { name: "early_exit", label: "End early at a certainty of", hint: "0.9: when the model itself would end with 90 %", min: 0.01, max: 0.99, step: 0.01 },
];

const GATES = [
  { label: "only at the beginning", value: null },
  { label: "wherever the model is unsure", value: { mode: "entropy", threshold: 1.5 } },
  { label: "every 16 tokens", value: { mode: "every", tokens: 16 } },
  { label: "at each line end", value: { mode: "after", strings: ["\n"] } },
];

const SEARCHES = [
  { label: "one thought", value: null },
  { label: "several, the most frequent answer", value: { name: "self_consistency", n: 5 } },
  { label: "several, the most confident", value: { name: "best_of", n: 4 } },
  { label: "step by step, the best steps go on", value: { name: "beam", score_by: "confidence" } },
];

export function SettingsPanel({ settings, mayShow, onChange }) {
  const { fields } = settings;
  const options = fields.options ?? {};
  const setField = (name, value) => onChange({ ...settings, fields: without(fields, name, value) });
  const setOption = (name, value) => setField("options", without(options, name, value));
  return html`
    <div class="settings">
      <label class="check">
        <input
          type="checkbox" checked=${settings.showThoughts} disabled=${!mayShow}
          onChange=${(event) => onChange({ ...settings, showThoughts: event.target.checked })}
        />
        <span>Show thoughts${mayShow ? "" : " (this key may not see them)"}</span>
      </label>
      <${Choice} name="strategy" label="How many thoughts" choices=${SEARCHES} value=${options.strategy}
        onChange=${(value) => setOption("strategy", value)} />
      <details>
        <summary>More options</summary>
        <label class="field">
          <span>Instructions to the model</span>
          <textarea rows="2" value=${settings.system}
            onInput=${(event) => onChange({ ...settings, system: event.target.value })}></textarea>
        </label>
        ${NUMBERS.map(
          (one) => html`
            <${NumberField} key=${one.name} ...${one} value=${fields[one.name]}
              onChange=${(value) => setField(one.name, value)} />
          `,
        )}
        <${Choice} name="gate" label="Where it thinks" choices=${GATES} value=${options.gate}
          onChange=${(value) => setOption("gate", value)} />
        ${OPTION_NUMBERS.map(
          (one) => html`
            <${NumberField} key=${one.name} ...${one} value=${options[one.name]}
              onChange=${(value) => setOption(one.name, value)} />
          `,
        )}
        <${TextField} label="Last words of a thought that is cut" value=${options.wrap_up}
          onChange=${(value) => setOption("wrap_up", value)} />
        <label class="check">
          <input type="checkbox" checked=${options.loop_guard !== false}
            onChange=${(event) => setOption("loop_guard", event.target.checked ? undefined : false)} />
          <span>End a thought that repeats itself</span>
        </label>
        <button type="button" onClick=${() => onChange(EMPTY_SETTINGS)}>Reset all options</button>
      </details>
    </div>
  `;
}

function NumberField({ name, label, hint, value, onChange, ...bounds }) {
  const onInput = (event) => {
    const { value: text, valueAsNumber: number } = event.target;
    onChange(text === "" ? undefined : number);
  };
  return html`
    <label class="field">
      <span>${label}</span>
      <input type="number" id=${`option-${name}`} ...${bounds} value=${value ?? ""} onInput=${onInput}
        aria-describedby=${`hint-${name}`} placeholder="the server's" />
      <small id=${`hint-${name}`}>${hint}</small>
    </label>
  `;
}

function TextField({ label, value, onChange }) {
  return html`
    <label class="field">
      <span>${label}</span>
      <input type="text" value=${value ?? ""} placeholder="none"
        onInput=${(event) => onChange(event.target.value || undefined)} />
    </label>
  `;
}

function Choice({ name, label, choices, value, onChange }) {
  const place = choices.findIndex((one) => JSON.stringify(one.value) === JSON.stringify(value ?? null));
  return html`
    <label class="field">
      <span>${label}</span>
      <select id=${`option-${name}`} value=${place}
        onChange=${(event) => onChange(choices[event.target.value].value ?? undefined)}>
        ${choices.map((one, number) => html`<option key=${number} value=${number}>${one.label}</option>`)}
      </select>
    </label>
  `;
}

function without(fields, name, value) {
  const { [name]: _, ...rest } = fields;
  const isEmpty = value === undefined || (typeof value === "object" && !Object.keys(value).length);
  return isEmpty ? rest : { ...rest, [name]: value };
}
