// Requests to the server that this page came from, and its errors in words.
import { getKey } from "./key.js";

export class ApiError extends Error {
  /** `status` 0: there was no response. `code` and `param` as in the server's error. */
  constructor(message, { status = 0, code = null, param = null, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, param, retryAfter });
  }

  /** What to do about it, or "". */
  get hint() {
    if (this.status === 401) return "Set a key (top right) and try again.";
    if (this.status === 429 && this.retryAfter) return `Try again in ${this.retryAfter} s.`;
    if (this.status === 503) return "Try again in a moment.";
    if (this.status === 0) return "Is the server still running?";
    return "";
  }
}

/** Return the parsed body of `path`, relative to the page; `body`, if any, is posted as JSON. */
export async function call(path, { body, signal, text = false } = {}) {
  const response = await send(path, body, signal);
  try {
    return text ? await response.text() : await response.json();
  } catch (error) {
    throw toError(error);
  }
}

/** Yield the events of a stream, parsed; the comments that keep it alive are left out. */
export async function* stream(path, body, signal) {
  const response = await send(path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    while (true) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ")) continue;
        if (line === "data: [DONE]") return;
        const event = JSON.parse(line.slice("data: ".length));
        if (event.error) throw new ApiError(event.error.message, { status: 500, ...event.error });
        yield event;
      }
    }
  } catch (error) {
    throw toError(error);
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function send(path, body, signal) {
  const headers = { accept: "application/json" };
  if (getKey()) headers.authorization = `Bearer ${encodeKey(getKey())}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (error) {
    throw toError(error);
  }
  if (!response.ok) throw await readError(response);
  return response;
}

// A header holds no other characters; such a key is wrong anyway, and the server says so.
function encodeKey(key) {
  return key.replace(/[^\x21-\x7e]/g, "?");
}

async function readError(response) {
  const retryAfter = response.headers.get("retry-after");
  const { error } = await response.json().catch(() => ({}));
  const message = error?.message ?? `the server answered ${response.status}`;
  return new ApiError(message, { ...error, status: response.status, retryAfter });
}

function toError(error) {
  if (error instanceof ApiError || error.name === "AbortError") return error;
  return new ApiError("the server cannot be reached, or the connection was lost");
}
