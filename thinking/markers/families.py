"""Table of the marker families that models were trained with.

A family is text. Its token ids, and whether a model belongs to it, are found by
``thinking.markers.detection``. Sources: the models' chat templates and vLLM 0.32's reasoning
parsers (``vllm/reasoning``, ``vllm/parser``). ``docs/models.md`` lists the family of each
model, and the models that have none.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MarkerFamily:
    """Texts with which a family of models writes a thought."""

    name: str
    start: str
    end: str
    # Text that such a model itself writes right after the start marker.
    after_start: str
    # An empty thought, as these models' templates write it.
    empty_thought: str
    # Added tokens of a tokenizer of the family; (): `start` and `end` are its added tokens.
    tokens: tuple[str, ...] = ()
    # Inside a thought these end it: the model leaves out the end marker.
    tool_call_openers: tuple[str, ...] = ()
    # True if models that do not think have the same tokens. Their chat templates never
    # mention the markers.
    template_tells: bool = False

    @property
    def needed_tokens(self) -> tuple[str, ...]:
        """Added tokens whose presence identifies the family."""
        return self.tokens or (self.start, self.end)


def _make_tag_family(name: str, tag: str, tool_call_openers: tuple[str, ...] = ()) -> MarkerFamily:
    """Make a family of ``<tag>`` and ``</tag>`` with a line break after each, as in Qwen3."""
    start, end = f"<{tag}>", f"</{tag}>"
    empty_thought = f"{start}\n\n{end}\n\n"
    return MarkerFamily(name, start, end, "\n", empty_thought, (), tool_call_openers)


def _make_bare_family(
    name: str, start: str, end: str, tool_call_openers: tuple[str, ...] = ()
) -> MarkerFamily:
    """Make a family whose markers have nothing around them."""
    return MarkerFamily(name, start, end, "", start + end, (), tool_call_openers)


def _make_think_family(
    name: str, other_tokens: tuple[str, ...], opener: str | None = None, *, bare: bool = False
) -> MarkerFamily:
    """Make a family of ``<think>`` that is told from the others by `other_tokens`."""
    start, end = "<think>", "</think>"
    return MarkerFamily(
        name=name,
        start=start,
        end=end,
        after_start="" if bare else "\n",
        empty_thought=start + end if bare else f"{start}\n\n{end}\n\n",
        tokens=(start, end, *other_tokens),
        tool_call_openers=() if opener is None else (opener,),
        template_tells=True,
    )


THOUGHT_START = "<|startofthought|>"
THOUGHT_END = "<|endofthought|>"

# Tried in this order: among families with the same markers, the most general is last.
FAMILIES = (
    # Quiet-STaR's tokens; this project's own small model has them too.
    _make_bare_family("startofthought", THOUGHT_START, THOUGHT_END),
    # Kimi-K2-Thinking, Kimi-K2.5
    _make_think_family(
        "kimi-k2",
        ("<|tool_calls_section_begin|>",),
        "<|tool_calls_section_begin|>",
        bare=True,
    ),
    _make_think_family("minimax-m2", ("<minimax:tool_call>",), "<minimax:tool_call>"),
    # DeepSeek-V3.2 and V4. Only V4 calls tools inside a thought.
    _make_think_family("deepseek-dsml", ("｜DSML｜",), "<｜DSML｜tool_calls>", bare=True),
    # GLM-4.5 to 5.x, Ling 3
    _make_think_family("glm", ("<tool_call>", "<arg_key>"), "<tool_call>", bare=True),
    # ERNIE-4.5-Thinking. It calls tools after its thoughts only.
    _make_think_family("ernie", ("<response>", "</response>")),
    # Qwen3, Qwen3-Next, Qwen3.5, QwQ, MiMo, Step-3.5, EXAONE 4, Nemotron 3, Granite 4.2 …
    _make_think_family("qwen3", ("<tool_call>",), "<tool_call>"),
    # Hunyuan-A13B. The line break before the end marker may belong to the token before it.
    MarkerFamily(
        name="hunyuan",
        start="<think>\n",
        end="</think>\n<answer>\n",
        after_start="",
        empty_thought="<think>\n\n</think>\n<answer>\n",
        tokens=("<think>", "<answer>", "</answer>"),
    ),
    # DeepSeek-R1 to V3.1, Nemotron Nano and Super, Step3, Olmo 3,
    # Phi-4-reasoning, Intern-S1 …
    _make_think_family("think", ()),
    _make_bare_family("mm-think", "<mm:think>", "</mm:think>"),  # MiniMax-M3
    # Seed-OSS. With a budget of 0 it writes a thought of one sentence that says so.
    MarkerFamily(
        name="seed-think",
        start="<seed:think>",
        end="</seed:think>",
        after_start="\n",
        empty_thought=(
            "<seed:think>\n<seed:cot_budget_reflect>The current thinking budget is 0, so I will "
            "directly start answering the question.</seed:cot_budget_reflect>\n</seed:think>"
        ),
        tool_call_openers=("<seed:tool_call>",),
    ),
    _make_tag_family("thought", "thought"),  # EXAONE Deep
    _make_tag_family("longcat", "longcat_think"),  # LongCat-Flash-Thinking
    # K2 Horizon, at its default effort
    _make_bare_family("k2-horizon", "<ifm|think>", "</ifm|think>", ("<ifm|tool_calls>",)),
    _make_bare_family("magistral", "[THINK]", "[/THINK]", ("[TOOL_CALLS]",)),
    _make_bare_family("kimi-think", "◁think▷", "◁/think▷"),  # Kimi-VL-Thinking
    _make_bare_family("cohere", "<|START_THINKING|>", "<|END_THINKING|>"),
    _make_bare_family(
        "plamo3",
        "<|plamo:begin_think:plamo|>",
        "<|plamo:end_think:plamo|>",
        ("<|plamo:begin_tool_requests:plamo|>",),
    ),
    MarkerFamily(
        name="gemma4",
        start="<|channel>thought\n",
        end="<channel|>",
        after_start="",
        empty_thought="<|channel>thought\n<channel|>",
        tokens=("<|channel>", "<channel|>"),
        tool_call_openers=("<|tool_call>",),
    ),
    # gpt-oss. Without a thought it opens the final channel at once.
    MarkerFamily(
        name="harmony",
        start="<|channel|>analysis<|message|>",
        end="<|end|><|start|>assistant<|channel|>final<|message|>",
        after_start="",
        empty_thought="<|channel|>final<|message|>",
        tokens=("<|channel|>", "<|message|>", "<|start|>", "<|end|>"),
    ),
)

# A model with none of these is primed: it gets our markers as plain text, a first line that
# starts its thinking, and a hidden last line that leads it to its answer. Both lines were
# chosen by experiment on SmolLM2-135M-Instruct: a numbered list keeps its steps short, and
# with a mere line break as lead-in it continued the thought or chatted about it.
PRIMED = MarkerFamily("primed", THOUGHT_START, THOUGHT_END, "", "")
PRIMER_TEXT = "\nLet me think step by step:\n1."
LEAD_IN_TEXT = "\n\nMy answer:\n"
