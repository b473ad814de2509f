"""Examples of each row of the dialect table, with the expected effect."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A `value` at a `path`, the budget that it sets, and whether it shows the thought.

    `budget` None: the server's default. `wrong` is a value that is refused at the same path.
    `beside`: other fields that the example needs.
    """

    path: str
    value: Any
    budget: int | None = None
    shows: bool = False
    wrong: Any = "many"
    beside: tuple[tuple[str, Any], ...] = ()

    def make_body(self, value: Any) -> dict[str, Any]:
        """Return a body's fields with `value` at its path."""
        *steps, leaf = self.path.split(".")
        fields: dict[str, Any] = {leaf: value}
        for step in reversed(steps):
            fields = {step: fields}
        return {**dict(self.beside), **fields}


LOW, HIGH = 40, 90  # budgets of these efforts on the tests' server
COUNT, SHARE = 33, 0.25
REPLY_LIMIT = 200
WRAP_UP = " So I stop."

ROWS = (
    Row("max_thinking_tokens", COUNT, COUNT),
    Row("reasoning_effort", "low", LOW, wrong="lowest"),
    Row("include_reasoning", True, shows=True, wrong=1),
    Row("max_thinking_seconds", 3600.0, wrong=0),
    Row("thinking_token_budget", COUNT, COUNT, wrong=33.0),
    Row("nvext.max_thinking_tokens", COUNT, COUNT, wrong=-2),
    Row("thinking_budget", COUNT, COUNT, wrong=True),
    Row("custom_params.thinking_budget", COUNT, COUNT),
    Row("chat_template_kwargs.thinking_budget", COUNT, COUNT),
    Row("chat_template_kwargs.thinking_token_budget", COUNT, COUNT),
    Row("chat_template_kwargs.reasoning_effort", "high", HIGH, wrong=3),
    Row("thinking_budget_tokens", COUNT, COUNT),
    Row("reasoning_budget_tokens", COUNT, COUNT),
    Row("reasoning_budget_message", WRAP_UP, wrong=5),
    Row("reasoning_max_tokens", COUNT, COUNT),
    Row("logits_processors_args.thinking_budget", COUNT, COUNT),
    Row("logits_processors_args.think_stop_sentence", WRAP_UP, wrong=[]),
    Row("reasoning.max_tokens", COUNT, COUNT),
    Row("reasoning.effort", "high", HIGH, wrong="HIGH"),
    Row("reasoning.enabled", False, 0, wrong="false"),
    Row("reasoning.exclude", False, shows=True, wrong=0),
    Row("reasoning.summary", "auto", shows=True, wrong="long"),
    Row("reasoning.generate_summary", "concise", shows=True, wrong=True),
    Row("thinking.type", "disabled", 0, wrong="on"),
    Row("thinking.budget_tokens", COUNT, COUNT, beside=()),
    Row("thinking.display", "summarized", shows=True, wrong="all"),
    Row("thinking.block_binding", {"prefix_mismatch_behavior": "drop_block"}, wrong="error"),
    Row("output_config.effort", "low", LOW, wrong=""),
    Row("generationConfig.thinkingConfig.thinkingBudget", COUNT, COUNT),
    Row("generationConfig.thinkingConfig.thinkingLevel", "HIGH", HIGH, wrong=1),
    Row("generationConfig.thinkingConfig.includeThoughts", True, shows=True, wrong="yes"),
    Row("google.thinking_config.thinking_budget", COUNT, COUNT),
    Row("google.thinking_config.thinking_level", "low", LOW, wrong="deep"),
    Row("google.thinking_config.include_thoughts", True, shows=True, wrong={}),
    Row("think", "high", HIGH, wrong="hard"),
    Row("think_budget", SHARE, REPLY_LIMIT // 4, wrong=1.5),
    Row("enable_thinking", False, 0, wrong="no"),
    Row("chat_template_kwargs.enable_thinking", False, 0, wrong=0),
    Row("chat_template_kwargs.thinking", False, 0, wrong="enabled"),
    Row("separate_reasoning", True, shows=True, wrong=False),
    Row("stream_reasoning", True, shows=True, wrong="true"),
    Row("reasoning_format", "parsed", shows=True, wrong="raw"),
)
