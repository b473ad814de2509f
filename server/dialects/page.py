"""Generates docs/dialects.md from the table of spellings.

Run it with ``python -m server.dialects.page``. Reads no request.
"""

import sys
from pathlib import Path

from server.dialects.spellings import SPELLINGS
from thinking.budget import DEFAULT_EFFORT_TOKENS

DOCS_PATH = Path("docs/dialects.md")
_HEAD = """\
# Dialects: how clients spell "think this much"

Written by `python -m server.dialects.page`; a test holds it current.

Every spelling below is understood on every endpoint that thinks (`/v1/chat/completions`,
`/v1/completions`, `/v1/responses`, `/v1/messages`), so a client needs nothing but our base URL.
`receipt.source` names the field that set the budget. A field of this kind that we do not know, that
stands in the wrong place or has a wrong value is a 400 that names it and the right one; it is
never ignored.

| field | means | written so by |
|---|---|---|
"""
_MIDDLE = """
`null`, and -1 as a count of tokens, are as if the field were left out. Beside these, in our own
spelling only: `min_thinking_tokens` and `thinking_options` ([sampler.md](sampler.md)).

## Which field wins

1. An explicit count, else an effort, else the server's default (`--default-thinking-tokens`); then
   the ceilings. `max_thinking_tokens: 0` beside an effort is 0.
2. A switch that is on (`enable_thinking: true`, `thinking.type: enabled`) asks for no length:
   effort or default decide. Where the server's default is 0, the model thinks with effort `medium`.
3. Two fields that disagree are a 400 naming both: two counts, two efforts, on and off, show and
   hide, a switch that is off beside a budget, `none` beside one, and `reasoning.max_tokens` beside
   `reasoning.effort` (OpenRouter's own rule). Two that agree are fine.
4. `{"type": "adaptive", "budget_tokens": 0}`, which Claude Code sends, means adaptive.

## Efforts

| effort | tokens |
|---|---|
"""
_TAIL = """
The operator sets others with `--effort-tokens '{"low": 512}'`; `null` means: up to the ceiling.
Templates that tell the model its effort (gpt-oss) or its budget (Seed-OSS) are given what the
request said; the sampler holds the budget whatever the model makes of it.

## Templates

`chat_template_kwargs` go to the model's chat template. An argument that the template does not
read is a 400 that lists those it does. Earlier thoughts (`reasoning_content`, `reasoning`; sealed
ones of the other endpoints) are given to the template, which keeps or drops them as the model was
trained. The same text as a marker, typed by a user, in an argument or in an earlier thought, stays
plain text.

## Images

Parts `{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}` (and Anthropic's and
Responses' forms of the same) go to vLLM's multimodal input where the model reads images; elsewhere
they are a 400. PNG, JPEG, WebP and GIF; at most 16 a request, 20 MiB each and 40 million
pixels together, and the whole body within `--max-body-bytes`. URLs of other places are refused: the
server fetches nothing that a client names.

## Limits

The whole body: `--max-body-bytes` (413). 4,096 messages or items, 128 tools, schemas of 65,536
characters and 64 levels, 16 stop strings of 500 characters, 16 choices, 256 choices of all prompts
of a text completion together (400, naming the field).

## Advice

Where the model thinks, the receipt's `advice` points out, after OpenAI's "Reasoning best
practices":

- a prompt that asks to think step by step: a model that thinks does so anyway;
- a context (all messages but the last that is asked) of 16,000 characters or more that is 50
  times as long as the question.

The prompt is never changed. `--no-advice` (`THINKING_SERVER_ADVICE=false`) switches it off. That a
budget cannot hold the model's markers is said in any case.
"""


def render_page() -> str:
    """Return the content of docs/dialects.md."""
    rows = "".join(f"| `{s.path}` | {s.reader.meaning} | {s.who} |\n" for s in SPELLINGS)
    efforts = "".join(
        f"| `{effort.value}` | {'all that there is room for' if tokens is None else tokens} |\n"
        for effort, tokens in DEFAULT_EFFORT_TOKENS.items()
    )
    return _HEAD + rows + _MIDDLE + efforts + _TAIL


if __name__ == "__main__":
    DOCS_PATH.write_text(render_page())
    sys.stderr.write(f"wrote {DOCS_PATH}\n")
