"""Marker layouts of model families: added tokens and the start of a reply.

The templates are short imitations of the families' own; ``docs/models.md`` lists the layout
of each real model.
"""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tests.toy_tokenizers import CHATML, HARMONY, byte_level
from thinking.markers.detection import MarkerOverrides, find_profile
from thinking.markers.profile import MarkerProfile, Opening

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK = ("<think>", "</think>")
THOUGHT = ("<|startofthought|>", "<|endofthought|>")


def detect_profile(
    tokenizer: PreTrainedTokenizerBase,
    overrides: MarkerOverrides | None = None,
    vocab_size: int | None = None,
) -> MarkerProfile:
    return find_profile(
        tokenizer,
        stop_token_ids=(tokenizer.eos_token_id,),
        vocab_size=vocab_size or len(tokenizer),
        overrides=overrides,
    )


def decode_texts(tokenizer: PreTrainedTokenizerFast, profile: MarkerProfile) -> dict[str, str]:
    return {
        field: tokenizer.decode(getattr(profile, f"{field}_token_ids"))
        for field in ("start", "end", "primer", "lead_in", "no_thought")
    }


def to_token_ids(tokenizer: PreTrainedTokenizerBase, *tokens: str) -> tuple[int, ...]:
    return tuple(tokenizer.convert_tokens_to_ids(list(tokens)))


@dataclass(frozen=True)
class Layout:
    """A layout and the profile that must be found for it."""

    model: str
    family: str
    tokens: tuple[str, ...]
    template: str
    start: str = "<think>"
    end: str = "</think>"
    opening: Opening = Opening.PROMPT
    primer: str = ""
    no_thought: str = "\n</think>\n\n"
    openers: tuple[str, ...] = ()

    def build_tokenizer(self) -> PreTrainedTokenizerFast:
        return byte_level(SPECIAL, self.tokens, self.template)


OFF = "{% if enable_thinking is false %}"


def make_chatml(reply: str = "", message: str = "") -> str:
    """Return CHATML with `reply` at the start of a reply and `message` after each message."""
    template = CHATML.replace("assistant\n{% endif %}", f"assistant\n{reply}{{% endif %}}")
    return template.replace("{{ m['content'] }}", f"{{{{ m['content'] }}}}{message}")


def make_switch(on: str, off: str) -> str:
    """Return a start of a reply that depends on ``enable_thinking``."""
    return f"{OFF}{off}{{% else %}}{on}{{% endif %}}"


FORCED = Opening.FORCED
EMPTY = "<think>\n\n</think>\n\n"
SPEAKS = "{# <think> </think> #}"
TOOL = "<tool_call>"
KIMI_TOOL = "<|tool_calls_section_begin|>"
MM_THINK = ("<mm:think>", "</mm:think>")
SEED = ("<seed:think>", "</seed:think>")
SEED_EMPTY = (
    "<seed:think>\n<seed:cot_budget_reflect>The current thinking budget is 0, so I will "
    "directly start answering the question.</seed:cot_budget_reflect>\n</seed:think>"
)
LONGCAT = ("<longcat_think>", "</longcat_think>")
IFM = ("<ifm|think>", "</ifm|think>")
COHERE = ("<|START_THINKING|>", "<|END_THINKING|>")
PLAMO = ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>")

# fmt: off
LAYOUTS = (
    Layout("Qwen3", "qwen3", (*THINK, TOOL), make_chatml(make_switch("", EMPTY)),
           opening=FORCED, primer="\n", no_thought=EMPTY, openers=(TOOL,)),
    Layout("Qwen3-Thinking", "qwen3", (*THINK, TOOL), make_chatml("<think>\n"), openers=(TOOL,)),
    Layout("Qwen3.5", "qwen3", (*THINK, TOOL), make_chatml(make_switch("<think>\n", EMPTY)),
           openers=(TOOL,)),
    Layout("DeepSeek-R1", "think", THINK, make_chatml("<think>\n")),
    Layout("DeepSeek-R1-0528", "think", THINK, make_chatml(SPEAKS),
           opening=FORCED, primer="\n", no_thought=EMPTY),
    Layout("DeepSeek-V3.1", "think", THINK, make_chatml(make_switch("<think>", "</think>")),
           no_thought="</think>"),
    Layout("DeepSeek-V4", "deepseek-dsml", (*THINK, "｜DSML｜"), make_chatml("<think>"),
           no_thought="</think>"),
    Layout("GLM-4.6", "glm", (*THINK, TOOL, "<arg_key>"),
           make_chatml(make_switch("", r"{{ '\n' }}<think></think>"), OFF + "/nothink{% endif %}"),
           opening=FORCED, no_thought="\n<think></think>", openers=(TOOL,)),
    Layout("GLM-4.7", "glm", (*THINK, TOOL, "<arg_key>"),
           make_chatml(make_switch("<think>", "</think>")),
           no_thought="</think>", openers=(TOOL,)),
    Layout("Kimi-K2-Thinking", "kimi-k2", (*THINK, KIMI_TOOL), make_chatml(SPEAKS),
           opening=FORCED, no_thought="<think></think>", openers=(KIMI_TOOL,)),
    Layout("Kimi-K2.5", "kimi-k2", (*THINK, KIMI_TOOL),
           make_chatml(make_switch("<think>", "<think></think>")),
           no_thought="</think>", openers=(KIMI_TOOL,)),
    Layout("MiniMax-M2", "minimax-m2", (*THINK, "<minimax:tool_call>"), make_chatml("<think>\n"),
           openers=("<minimax:tool_call>",)),
    Layout("MiniMax-M3", "mm-think", MM_THINK,
           make_chatml("{% if thinking_mode == 'enabled' %}<mm:think>{% endif %}"),
           *MM_THINK, no_thought="</mm:think>"),
    Layout("ERNIE-4.5", "ernie", (*THINK, TOOL, "<response>", "</response>"),
           make_chatml("<think>\n")),
    Layout("Nemotron Nano 2", "think", THINK, make_chatml("<think>\n\n"),
           no_thought="</think>\n\n"),
    Layout("Nemotron Super 1.5", "think", (), make_chatml(SPEAKS),
           opening=FORCED, primer="\n", no_thought=EMPTY),
    Layout("Olmo 3", "think", (), make_chatml("<think>{# </think> #}"), no_thought="</think>"),
    Layout("Hunyuan-A13B", "hunyuan", (), make_chatml("{# <think> <answer> </answer> #}"),
           "<think>\n", "</think>\n<answer>\n",
           opening=FORCED, no_thought="<think>\n\n</think>\n<answer>\n"),
    Layout("Seed-OSS", "seed-think", (*SEED, "<seed:tool_call>"), make_chatml(), *SEED,
           opening=FORCED, primer="\n", no_thought=SEED_EMPTY, openers=("<seed:tool_call>",)),
    Layout("EXAONE Deep", "thought", ("<thought>", "</thought>"), make_chatml("<thought>\n"),
           "<thought>", "</thought>", no_thought="\n</thought>\n\n"),
    Layout("LongCat", "longcat", LONGCAT, make_chatml("<longcat_think>\n"), *LONGCAT,
           no_thought="\n</longcat_think>\n\n"),
    Layout("K2 Horizon", "k2-horizon", (*IFM, "<ifm|tool_calls>"), make_chatml("<ifm|think>"), *IFM,
           no_thought="</ifm|think>", openers=("<ifm|tool_calls>",)),
    Layout("Magistral", "magistral", ("[THINK]", "[/THINK]", "[TOOL_CALLS]"), make_chatml(),
           "[THINK]", "[/THINK]", opening=FORCED,
           no_thought="[THINK][/THINK]", openers=("[TOOL_CALLS]",)),
    Layout("Kimi-VL-Thinking", "kimi-think", ("◁think▷", "◁/think▷"), make_chatml(),
           "◁think▷", "◁/think▷", opening=FORCED, no_thought="◁think▷◁/think▷"),
    Layout("Command A Reasoning", "cohere", COHERE, make_chatml(), *COHERE,
           opening=FORCED, no_thought="".join(COHERE)),
    Layout("Gemma 4", "gemma4", ("<|channel>", "<channel|>", "<|tool_call>"),
           "{% if enable_thinking %}<|think|>{% endif %}"
           + make_chatml(make_switch("", "<|channel>thought\n<channel|>")),
           "<|channel>thought\n", "<channel|>", opening=FORCED,
           no_thought="<|channel>thought\n<channel|>", openers=("<|tool_call>",)),
    Layout("PLaMo 3", "plamo3", (), make_chatml(PLAMO[0] + "{# " + PLAMO[1] + " #}"), *PLAMO,
           no_thought=PLAMO[1]),
    Layout("gpt-oss", "harmony", ("<|channel|>", "<|message|>", "<|start|>", "<|end|>"),
           HARMONY, "<|channel|>analysis<|message|>",
           "<|end|><|start|>assistant<|channel|>final<|message|>",
           opening=FORCED, no_thought="<|channel|>final<|message|>"),
    Layout("Quiet-STaR", "startofthought", THOUGHT, make_chatml(), *THOUGHT,
           opening=FORCED, no_thought="".join(THOUGHT)),
)
# fmt: on
