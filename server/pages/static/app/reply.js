// One streamed reply: what has come of it, how far its thought is, and how to govern it.
//
// Knows no page: whoever shows it is told by `onChange` that something has changed.
import { ApiError, call, stream } from "./api.js";
import { toStreamed } from "./request.js";

export const RUNNING = ["waiting", "thinking", "answering"];

export class Reply {
  /** `body`: of the request; `budget`: what it asks for, to be named above the answer. */
  constructor(body, budget) {
    Object.assign(this, { body, budget });
    this.id = null;
    this.phase = "waiting";
    this.thought = "";
    this.answer = "";
    this.progress = null; // {used, budget, seconds, segment} while it thinks
    this.receipt = null;
    this.usage = null;
    this.finishReason = null;
    this.error = null;
    this.seconds = 0;
    this.secondsToAnswer = null;
    this._abort = new AbortController();
  }

  get isRunning() {
    return RUNNING.includes(this.phase);
  }

  /** Ask, and read to the end. An error is kept, not thrown. */
  async run(onChange) {
    const began = performance.now();
    const passed = () => (performance.now() - began) / 1000;
    try {
      const events = stream("v1/chat/completions", toStreamed(this.body), this._abort.signal);
      for await (const event of events) {
        this._take(event);
        this.seconds = passed();
        if (this.answer) this.secondsToAnswer ??= this.seconds;
        onChange();
      }
      if (!this.finishReason) throw new ApiError("the reply broke off before its end");
      this.phase = "done";
    } catch (error) {
      this.phase = error.name === "AbortError" ? "stopped" : "failed";
      if (this.phase === "failed") this.error = error;
    }
    this.seconds = passed();
    onChange();
  }

  /** Close the thought where it is; the answer follows. Errors are thrown. */
  async endThought() {
    await this._order({ action: "end" });
  }

  /** Raise the budget; return how many tokens were granted. Errors are thrown. */
  async extendThought(tokens) {
    const reply = await this._order({ action: "extend", tokens });
    const [choice] = reply.choices;
    if (this.progress) this.progress = { ...this.progress, budget: choice.budget };
    return choice.extended ?? 0;
  }

  /** Hang up: the engine stops, and what has come stays. */
  stop() {
    this._abort.abort();
  }

  async _order(body) {
    if (!this.id) throw new ApiError("the reply has not begun yet");
    return call(`v1/thinking/${encodeURIComponent(this.id)}`, { body });
  }

  _take(event) {
    this.id = event.id ?? this.id;
    this.usage = event.usage ?? this.usage;
    for (const choice of event.choices ?? []) {
      const { reasoning, content } = choice.delta;
      if (reasoning) this.thought += reasoning;
      if (content) this.answer += content;
      if (choice.finish_reason) {
        this.finishReason = choice.finish_reason;
        this.receipt = choice.thinking ?? null;
      } else if (choice.thinking) {
        this.progress = choice.thinking;
      }
      if (content) this.phase = "answering";
      else if (choice.thinking || reasoning) this.phase = "thinking";
    }
  }
}
