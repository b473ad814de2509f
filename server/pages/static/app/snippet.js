// The last request as code to copy.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { getKey } from "./key.js";
import { toCurl, toPython } from "./request.js";

const KINDS = { curl: toCurl, Python: toPython, JSON: (body) => JSON.stringify(body, null, 2) };

export function SnippetDialog({ body, onClose }) {
  const dialog = useRef(null);
  const [kind, setKind] = useState("curl");
  const [said, setSaid] = useState("");
  useEffect(() => dialog.current.showModal(), []);
  const url = new URL(".", location.href).href;
  const code = KINDS[kind](body, url, Boolean(getKey()));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(code);
      setSaid("Copied.");
    } catch {
      setSaid("Select the text to copy it.");
    }
  };
  return html`
    <dialog ref=${dialog} class="snippet" aria-labelledby="snippet-title" onClose=${onClose}>
      <h2 id="snippet-title">The same as code</h2>
      <div class="marks" role="group" aria-label="Language">
        ${Object.keys(KINDS).map(
          (one) => html`
            <button type="button" class="mark" key=${one} aria-pressed=${one === kind}
              onClick=${() => setKind(one)}>${one}</button>
          `,
        )}
      </div>
      <pre tabindex="0" aria-label="Code"><code>${code}</code></pre>
      <div class="buttons">
        <span role="status" class="note">${said}</span>
        <button type="button" onClick=${copy}>Copy</button>
        <button type="button" onClick=${() => dialog.current.close()}>Close</button>
      </div>
    </dialog>
  `;
}
