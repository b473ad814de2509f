// A conversation: questions, each with one reply, or with two that are compared.
import { makeBody } from "./request.js";
import { Reply } from "./reply.js";

export class Conversation {
  /** `onChange` is called, at most once a frame, when something has changed. */
  constructor(onChange) {
    this.turns = []; // {question, replies, chosen}
    let isDue = false;
    this._changed = () => {
      if (isDue) return;
      isDue = true;
      requestAnimationFrame(() => {
        isDue = false;
        onChange();
      });
    };
  }

  get isRunning() {
    return this.turns.at(-1)?.replies.some((reply) => reply.isRunning) ?? false;
  }

  /** Ask at each of `budgets`; return when all replies have ended, true if one of them came. */
  async ask(question, model, settings, budgets) {
    const messages = [...this._history(), { role: "user", content: question }];
    const replies = budgets.map(
      (budget) => new Reply(makeBody(model, messages, settings, budget), budget),
    );
    const turn = { question, replies, chosen: 0 };
    this.turns.push(turn);
    this._changed();
    await Promise.all(replies.map((reply) => reply.run(this._changed)));
    return replies.some((reply) => reply.answer);
  }

  /** Go on from this reply of a comparison. */
  choose(turn, place) {
    turn.chosen = place;
    this._changed();
  }

  stop() {
    this.turns.at(-1)?.replies.forEach((reply) => reply.stop());
  }

  clear() {
    this.stop();
    this.turns = [];
    this._changed();
  }

  // Thoughts are never sent back, nor questions that were refused.
  _history() {
    return this.turns
      .filter((turn) => turn.replies[turn.chosen].answer)
      .flatMap((turn) => [
        { role: "user", content: turn.question },
        { role: "assistant", content: turn.replies[turn.chosen].answer },
      ]);
  }
}
