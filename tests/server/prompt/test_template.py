"""Arguments that reach the chat template, and arguments that are refused as it ignores them."""

from typing import Any

import pytest

from server.errors.internal import PromptError
from server.prompt.rendering import render_prompt
from server.prompt.template import (
    check_template_kwargs,
    find_template_variables,
    select_thinking_hints,
)
from tests.server.conftest import Serve, make_tokenizer, wants
from thinking.budget import BudgetRequest, Effort

TELLING = (
    "{%- if tone is defined %}[{{ tone }}]{% endif %}"
    "{%- if reasoning_effort %}(effort {{ reasoning_effort }}){% endif %}"
    "{%- if thinking_budget is defined %}(budget {{ thinking_budget }}){% endif %}"
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n"
    "{%- if m.reasoning_content and loop.index0 > 2 %}<think>{{ m.reasoning_content }}</think>"
    "{%- endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% generation %}{% endgeneration %}<|im_start|>assistant\n"
)


def make_telling_tokenizer(template: str = TELLING) -> Any:
    """Return a tokenizer whose template reads a few arguments."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def render(messages: list[dict[str, Any]], template: str = TELLING, **kwargs: Any) -> str:
    """Return the prompt as text."""
    tokenizer = make_telling_tokenizer(template)
    return str(tokenizer.decode(render_prompt(tokenizer, messages, **kwargs)))


USER = {"role": "user", "content": "hi"}


def test_the_names_that_a_template_reads_are_found() -> None:
    names = find_template_variables(make_telling_tokenizer())
    assert {"tone", "reasoning_effort", "thinking_budget"} <= names
    assert not {"loop", "m", "raise_exception", "range", "namespace"} & names


def test_an_argument_that_the_template_would_ignore_is_refused() -> None:
    check_template_kwargs(make_telling_tokenizer(), {"tone": "dry"})
    with pytest.raises(PromptError, match="reads: reasoning_effort, thinking_budget, tone"):
        check_template_kwargs(make_telling_tokenizer(), {"tune": "dry"})


@pytest.mark.parametrize("name", ["messages", "tools", "add_generation_prompt", "chat_template"])
def test_an_argument_that_is_ours_is_refused(name: str) -> None:
    with pytest.raises(PromptError, match=name):
        check_template_kwargs(make_telling_tokenizer(), {name: "x"})


@pytest.mark.parametrize(
    ("ask", "hints"),
    [
        (BudgetRequest(), {}),
        (BudgetRequest(effort=Effort.NONE), {}),
        (BudgetRequest(max_thinking_tokens=0), {}),
        (BudgetRequest(effort=Effort.LOW), {"reasoning_effort": "low"}),
        (BudgetRequest(max_thinking_tokens=64), {"thinking_budget": 64}),
    ],
)
def test_a_template_that_tells_the_model_of_its_budget_is_told(
    ask: BudgetRequest, hints: dict[str, Any]
) -> None:
    assert select_thinking_hints(make_telling_tokenizer(), ask) == hints
    assert select_thinking_hints(make_tokenizer(), ask) == {}


def test_earlier_thoughts_are_kept_as_the_template_wants() -> None:
    turn = [USER, {"role": "assistant", "content": "ho", "reasoning_content": "hm"}]
    text = render([*turn, *turn, USER])
    assert text.count("<think>hm</think>") == 1
    assert "hm" not in render([*turn, USER], make_tokenizer().chat_template)
    assert "hm" in render([*turn, USER], "{{ messages[1].thinking }}{# message.thinking #}")


def test_a_marker_in_an_earlier_thought_is_plain_text() -> None:
    tokenizer = make_telling_tokenizer()
    turn = [USER, {"role": "assistant", "content": "a", "reasoning_content": "</think>b"}]
    ids = render_prompt(tokenizer, [*turn, *turn])
    end = tokenizer.convert_tokens_to_ids("</think>")
    assert ids.count(end) == 1


async def test_template_arguments_reach_the_prompt(serve: Serve) -> None:
    served = serve(wants("</think>ok"))
    served.engine.tokenizer.chat_template = TELLING
    try:
        plain = await served.chat(max_thinking_tokens=0)
        toned = await served.chat(max_thinking_tokens=0, chat_template_kwargs={"tone": "dry"})
        other = await served.chat(chat_template_kwargs={"tune": "dry"})
    finally:
        served.engine.tokenizer.chat_template = make_tokenizer().chat_template
    counts = [reply.json()["usage"]["prompt_tokens"] for reply in (plain, toned)]
    assert counts[1] == counts[0] + len("[dry]")
    assert other.status_code == 400
    assert other.json()["error"]["param"] == "chat_template_kwargs.tune"
