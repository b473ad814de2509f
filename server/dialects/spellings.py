"""Table of the dialects: each field, of any server, that sets how much to think.

All rows apply to every endpoint. A row has the path of a field, its meaning and the servers
that use it. ``readers`` reads the values; ``resolution`` decides when two rows disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from server.dialects.readers import (
    BINDING,
    COUNT,
    COUNT_OR_SHARE,
    DISPLAY,
    EFFORT,
    HIDE,
    LEVEL,
    PLACE,
    SECONDS,
    SEPARATE,
    SHOW,
    SUMMARY,
    SWITCH,
    SWITCH_OR_EFFORT,
    TEXT,
    TYPE,
    Reader,
)


@dataclass(frozen=True, slots=True)
class Spelling:
    """Row of the table. `path` has dots between nested objects; `who` names its users."""

    path: str
    reader: Reader
    who: str


SPELLINGS = (
    Spelling("max_thinking_tokens", COUNT, "this server, Atlas"),
    Spelling("reasoning_effort", EFFORT, "this server, OpenAI, vLLM, SGLang, Ollama, Mistral"),
    Spelling("include_reasoning", SHOW, "this server, vLLM, OpenRouter"),
    Spelling("max_thinking_seconds", SECONDS, "this server"),
    Spelling("thinking_token_budget", COUNT, "vLLM, TensorRT-LLM, Dynamo"),
    Spelling("nvext.max_thinking_tokens", COUNT, "NVIDIA NIM, Dynamo"),
    Spelling("thinking_budget", COUNT, "DashScope (Qwen), SiliconFlow, mlx-vlm"),
    Spelling("custom_params.thinking_budget", COUNT, "SGLang"),
    Spelling("chat_template_kwargs.thinking_budget", COUNT, "SGLang"),
    Spelling("chat_template_kwargs.thinking_token_budget", COUNT, "vLLM, misplaced"),
    Spelling("chat_template_kwargs.reasoning_effort", EFFORT, "SGLang, vLLM (gpt-oss)"),
    Spelling("thinking_budget_tokens", COUNT, "llama.cpp"),
    Spelling("reasoning_budget_tokens", COUNT, "llama.cpp"),
    Spelling("reasoning_budget_message", TEXT, "llama.cpp"),
    Spelling("reasoning_max_tokens", COUNT, "FastDeploy, Rapid-MLX"),
    Spelling("logits_processors_args.thinking_budget", COUNT, "FastDeploy"),
    Spelling("logits_processors_args.think_stop_sentence", TEXT, "FastDeploy"),
    Spelling("reasoning.max_tokens", COUNT, "OpenRouter"),
    Spelling("reasoning.effort", EFFORT, "OpenAI Responses, OpenRouter"),
    Spelling("reasoning.enabled", SWITCH, "OpenRouter, SGLang"),
    Spelling("reasoning.exclude", HIDE, "OpenRouter"),
    Spelling("reasoning.summary", SUMMARY, "OpenAI Responses"),
    Spelling("reasoning.generate_summary", SUMMARY, "OpenAI Responses, its older name"),
    Spelling("thinking.type", TYPE, "Anthropic, DeepSeek, Z.ai"),
    Spelling("thinking.budget_tokens", COUNT, "Anthropic"),
    Spelling("thinking.display", DISPLAY, "Anthropic"),
    Spelling("thinking.block_binding", BINDING, "Anthropic"),
    Spelling("output_config.effort", EFFORT, "Anthropic"),
    Spelling("generationConfig.thinkingConfig.thinkingBudget", COUNT, "Gemini"),
    Spelling("generationConfig.thinkingConfig.thinkingLevel", LEVEL, "Gemini"),
    Spelling("generationConfig.thinkingConfig.includeThoughts", SHOW, "Gemini"),
    Spelling("google.thinking_config.thinking_budget", COUNT, "Gemini through OpenAI's client"),
    Spelling("google.thinking_config.thinking_level", LEVEL, "Gemini through OpenAI's client"),
    Spelling("google.thinking_config.include_thoughts", SHOW, "Gemini through OpenAI's client"),
    Spelling("think", SWITCH_OR_EFFORT, "Ollama"),
    Spelling("think_budget", COUNT_OR_SHARE, "Rapid-MLX (tokens), imp (a share)"),
    Spelling("enable_thinking", SWITCH, "DashScope (Qwen), FastDeploy"),
    Spelling("chat_template_kwargs.enable_thinking", SWITCH, "Qwen and GLM templates"),
    Spelling("chat_template_kwargs.thinking", SWITCH, "DeepSeek and Kimi templates"),
    Spelling("separate_reasoning", SEPARATE, "SGLang"),
    Spelling("stream_reasoning", SHOW, "SGLang"),
    Spelling("reasoning_format", PLACE, "Groq, llama.cpp"),
)

_USE_COUNT = "use 'max_thinking_tokens'"
_USE_THINKING = "use 'thinking' with 'type' and 'budget_tokens', or 'max_thinking_tokens'"

# Names that clients send by mistake → what to send instead.
WRONG_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "thinking_tokens": _USE_COUNT,
        "reasoning_budget": _USE_COUNT,
        "reasoning_tokens": _USE_COUNT,
        "max_reasoning_tokens": _USE_COUNT,
        "budget_tokens": _USE_THINKING,
        "effort": "use 'reasoning_effort'",
        "think_stop_sentence": "use 'thinking_options.wrap_up'",
        "thinkingConfig": "it belongs in 'generationConfig'",
        "includeThoughts": "use 'include_reasoning'",
        "extra_body": "its fields belong at the top level of the body",
    }
)
