// The OpenAPI document as Swagger UI shows it, with the key of this tab in all that it sends.
import { render } from "preact";
import { call } from "./api.js";
import { Header } from "./header.js";
import { html } from "./html.js";
import { getKey } from "./key.js";
import { Failure } from "./failure.js";

const places = { header: document.getElementById("app"), problem: document.getElementById("problem") };

function withKey(request) {
  if (getKey()) request.headers.Authorization = `Bearer ${getKey()}`;
  return request;
}

async function show() {
  let problem = null;
  try {
    const spec = await call("openapi.json");
    window.SwaggerUIBundle({ spec, dom_id: "#swagger", requestInterceptor: withKey });
  } catch (error) {
    problem = error;
  }
  render(html`<${Header} page="api" needsKey=${problem?.status === 401} onKey=${show} />`, places.header);
  render(problem && html`<${Failure} error=${problem} onRetry=${show} />`, places.problem);
}

show();
