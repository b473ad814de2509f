// The conversation, and what is typed next. What is typed is kept until a reply to it has begun.
import { useEffect, useRef, useState } from "preact/hooks";
import { describeBudget } from "./budget.js";
import { html } from "./html.js";
import { ReplyView } from "./reply-view.js";
import { SnippetDialog } from "./snippet.js";
import { keep, recall } from "./storage.js";

const DRAFT = "thinking.draft";
const NEAR_PIXELS = 150;

export function ChatView({ conversation, card, budgets, settings }) {
  const [draft, setDraft] = useDraft();
  const [body, setBody] = useState(null);
  const input = useRef(null);
  const end = useRef(null);
  const { turns, isRunning } = conversation;
  const follow = useFollowedEnd(end);

  const ask = async (question) => {
    if (!question.trim() || isRunning) return;
    setDraft("");
    follow();
    const isAnswered = await conversation.ask(question, card.id, settings, budgets);
    // Unless something else has been typed meanwhile.
    if (!isAnswered) setDraft((now) => now || question);
    input.current?.focus();
  };
  const onSubmit = (event) => {
    event.preventDefault();
    ask(draft);
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) onSubmit(event);
  };
  return html`
    <div class="turns">
      ${!turns.length && html`<${Welcome} card=${card} onPick=${setDraft} />`}
      ${turns.map((turn, place) => html`
        <${Turn} key=${place} turn=${turn} onChoose=${(one) => conversation.choose(turn, one)}
          onCode=${setBody} onRetry=${place === turns.length - 1 && !isRunning ? () => ask(turn.question) : null} />
      `)}
      <div ref=${end}></div>
    </div>
    <form class="ask" onSubmit=${onSubmit}>
      <label class="hidden" for="question">Your question</label>
      <textarea ref=${input} id="question" rows="2" value=${draft} onKeyDown=${onKeyDown}
        onInput=${(event) => setDraft(clean(event.target.value))}
        placeholder="Ask something. Enter sends it, Shift and Enter begin a new line."></textarea>
      <div class="buttons">
        ${turns.length > 0 && html`<button type="button" onClick=${() => conversation.clear()}>New conversation</button>`}
        ${isRunning
          ? html`<button type="button" onClick=${() => conversation.stop()}>Stop</button>`
          : html`<button type="submit" class="primary" disabled=${!draft.trim()}>Ask</button>`}
      </div>
    </form>
    ${body && html`<${SnippetDialog} body=${body} onClose=${() => setBody(null)} />`}
  `;
}

function Welcome({ card, onPick }) {
  const examples = card.id === "thinker"
    ? ["7 + 5 * 3 - 4 + 8 * 2 - 9 mod 10 =", "38-3+8+6-9-6+4+5*9 mod 100 ="]
    : ["What is 17 + 25?", "Why is the sky blue?"];
  return html`
    <div class="welcome">
      <h2>How much should it think?</h2>
      <p>
        The model may think before it answers. You set at most how many tokens; the thought is hidden
        unless you ask to see it, and the receipt says what it has used. Try the same question with
        different budgets.
      </p>
      <div class="examples">
        ${examples.map((one) => html`<button type="button" key=${one} onClick=${() => onPick(one)}>${one}</button>`)}
      </div>
    </div>
  `;
}

function Turn({ turn, onChoose, onCode, onRetry }) {
  const { question, replies, chosen } = turn;
  const isComparison = replies.length > 1;
  return html`
    <section class="turn" aria-label="Question and answer">
      <div class="question">${question}</div>
      <div class=${isComparison ? "replies are-two" : "replies"}>
        ${replies.map((reply, place) => html`
          <div key=${place}>
            <${ReplyView} reply=${reply} onRetry=${onRetry} title=${isComparison ? describeBudget(reply.budget) : null} />
            <div class="buttons">
              ${isComparison && html`
                <button type="button" aria-pressed=${place === chosen} onClick=${() => onChoose(place)}>
                  ${place === chosen ? "The conversation goes on from here" : "Go on from here"}
                </button>
              `}
              ${!reply.isRunning && html`<button type="button" onClick=${() => onCode(reply.body)}>As code</button>`}
            </div>
          </div>
        `)}
      </div>
    </section>
  `;
}

/** Keep the end in sight while it grows, until somebody scrolls away from it. */
function useFollowedEnd(end) {
  const isFollowed = useRef(true);
  useEffect(() => {
    const onScroll = () => {
      const below = document.documentElement.scrollHeight - innerHeight - scrollY;
      isFollowed.current = below < NEAR_PIXELS;
    };
    addEventListener("scroll", onScroll, { passive: true });
    return () => removeEventListener("scroll", onScroll);
  }, []);
  useEffect(() => {
    if (isFollowed.current) end.current?.scrollIntoView({ block: "nearest" });
  });
  return () => {
    isFollowed.current = true;
  };
}

/** What is typed survives a reload of the page. */
function useDraft() {
  const [draft, setDraft] = useState(() => recall("sessionStorage", DRAFT, ""));
  useEffect(() => keep("sessionStorage", DRAFT, draft), [draft]);
  return [draft, setDraft];
}

// Pasted binary: control characters, which no prompt needs, other than tabs and line ends.
const clean = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]/g, "");
