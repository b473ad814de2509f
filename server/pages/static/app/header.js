// What all pages have at the top: where one is, the key, the colours.
import { useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { getKey, setKey } from "./key.js";
import { keep } from "./storage.js";

const THEMES = ["system", "light", "dark"];

export function Header({ page, needsKey, onKey, children }) {
  return html`
    <header class="top">
      <a class="brand" href="./"><img src="static/icon.svg" alt="" width="24" height="24" />thinking-server</a>
      <nav aria-label="Pages">
        <a href="./" aria-current=${page === "playground" ? "page" : null}>Playground</a>
        <a href="status" aria-current=${page === "status" ? "page" : null}>Status</a>
        <a href="docs" aria-current=${page === "api" ? "page" : null}>API</a>
      </nav>
      <div class="top-tools">
        ${children}
        <${KeyButton} needsKey=${needsKey} onKey=${onKey} />
        <${ThemeButton} />
      </div>
    </header>
  `;
}

function KeyButton({ needsKey, onKey }) {
  const dialog = useRef(null);
  const input = useRef(null);
  const open = () => {
    input.current.value = getKey();
    dialog.current.showModal();
  };
  const save = (event) => {
    event.preventDefault();
    setKey(input.current.value);
    dialog.current.close();
    onKey();
  };
  return html`
    <button type="button" class=${needsKey ? "is-wanted" : ""} onClick=${open}>
      ${getKey() ? "Key set" : "Set key"}
    </button>
    <dialog ref=${dialog} aria-labelledby="key-title">
      <form onSubmit=${save}>
        <h2 id="key-title">API key</h2>
        <p>It is kept in this tab until you close it. A server without keys needs none.</p>
        <label class="field">
          <span>Key</span>
          <input ref=${input} type="password" id="key" autocomplete="off" spellcheck="false" />
        </label>
        <div class="buttons">
          <button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
          <button type="submit" class="primary">Use this key</button>
        </div>
      </form>
    </dialog>
  `;
}

function ThemeButton() {
  const root = document.documentElement;
  const [theme, setTheme] = useState(root.dataset.theme ?? "system");
  const change = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    root.dataset.theme = next;
    setTheme(next);
    keep("localStorage", "thinking.theme", next);
  };
  return html`<button type="button" onClick=${change}>Theme: ${theme}</button>`;
}
