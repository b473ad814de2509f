"""Which of vLLM's tool parsers reads a model's calls: a table, by what its chat template writes.

A name that an operator gives wins over it. Does not know the parsers themselves.
"""

from typing import Any

# A template that never speaks of tools gets our prompt, which asks for this form.
DEFAULT_PARSER = "hermes"

# (parser, texts of which the template has all). The first row that fits holds: of forms that
# share an opener, the plainest is last.
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

# vLLM reads these only together with their thoughts, which here are not read by it.
UNREADABLE = frozenset({"openai"})


def speaks_of_tools(chat_template: Any) -> bool:
    """Whether a chat template has a place for tools; it may be several, by name."""
    return "tools" in str(chat_template or "")


def detect_parser(chat_template: Any) -> str:
    """The name of the parser that reads what a model with this template writes."""
    text = str(chat_template or "")
    if not speaks_of_tools(text):
        return DEFAULT_PARSER
    fits = (name for name, needed in FAMILIES if all(part in text for part in needed))
    return next(fits, DEFAULT_PARSER)
