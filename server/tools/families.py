"""Selects vLLM's tool parser for a model, by texts in its chat template.

A parser that the operator names takes precedence. Does not know the parsers themselves.
"""

from typing import Any

# For a template without tool support: our tool prompt asks the model for this format.
DEFAULT_PARSER = "hermes"

# (parser, texts that the template must all contain). The first matching row applies; of formats
# that share an opening text, the least specific is last.
FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("openai", ("<|channel|>commentary",)),  # gpt-oss
    ("kimi_k3", ("<|open|>tools<|sep|>",)),
    ("kimi_k2", ("<|tool_calls_section_begin|>",)),
    ("minimax_m2", ("<minimax:tool_call>",)),
    ("deepseek_v32", ("｜DSML｜function_calls",)),
    ("deepseek_v4", ("｜DSML｜tool_calls",)),
    ("deepseek_v3", ("<｜tool▁calls▁begin｜>", "```json")),  # also R1-0528
    ("deepseek_v31", ("<｜tool▁calls▁begin｜>",)),
    ("seed_oss", ("<seed:tool_call>",)),
    ("longcat", ("<longcat_tool_call>",)),
    ("k2_horizon", ("<ifm|tool_calls>",)),
    ("plamo3", ("<|plamo:begin_tool_requests:plamo|>",)),
    ("dots", ("<dots_function_call>",)),
    ("gemma4", ("<|tool_call>",)),
    ("functiongemma", ("<start_function_call>",)),
    ("lfm2", ("<|tool_call_start|>",)),
    ("step3", ("<｜tool_calls_begin｜>",)),
    ("apertus", ("<|tools_prefix|>",)),
    ("cohere_command3", ("<|START_ACTION|>",)),
    ("mistral", ("[TOOL_CALLS]",)),  # also Magistral
    ("granite", ("<|tool_call|>", "<|start_of_role|>")),
    ("phi4_mini_json", ("<|tool_call|>",)),
    ("internlm", ("<|action_start|>",)),
    ("olmo3", ("<function_calls>",)),
    ("glm45", ("<tool_call>", "<arg_key>")),  # GLM-4.5 to 5.x
    ("qwen3_coder", ("<tool_call>", "<function=")),  # also Qwen3.5, Nemotron 3, Step-3.5
    ("granite4", ("<tool_call>", "<|start_of_role|>")),
    ("ernie45", ("<tool_call>", "<response>")),
    ("hermes", ("<tool_call>",)),  # Qwen2.5, QwQ, Qwen3, Hermes
    ("hunyuan_a13b", ("<tool_calls>", "<answer>")),
    ("jamba", ("<tool_calls>",)),
    ("llama3_json", ("<|python_tag|>",)),
    ("llama3_json", ("<|start_header_id|>", '"parameters"')),
)

# vLLM reads these formats only together with the thoughts, which this server does not pass to it.
UNREADABLE = frozenset({"openai"})


def has_tool_support(chat_template: Any) -> bool:
    """Return whether a chat template, or a mapping of named templates, supports tools."""
    return "tools" in str(chat_template or "")


def detect_parser(chat_template: Any) -> str:
    """Return the name of the parser for the tool calls of a model with this template."""
    text = str(chat_template or "")
    if not has_tool_support(text):
        return DEFAULT_PARSER
    fits = (name for name, needed in FAMILIES if all(part in text for part in needed))
    return next(fits, DEFAULT_PARSER)
