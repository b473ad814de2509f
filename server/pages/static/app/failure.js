// An error of the server or the connection, and what to do about it.
import { html } from "./html.js";

export function Failure({ error, onRetry }) {
  return html`
    <div class="failure" role="alert">
      <p><strong>${error.status || "No connection"}</strong> ${toSentence(error.message)} ${error.hint}</p>
      ${onRetry && html`<button type="button" onClick=${onRetry}>Try again</button>`}
    </div>
  `;
}

export const toSentence = (text) =>
  text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
