"""The marker families that models were trained with: a table, no code.

A family is text; which token ids it becomes, and whether a model has it, is for
``thinking.profiles`` to find out. Sources: the models' chat templates and vLLM 0.32's
reasoning parsers.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MarkerFamily:
    """How one family of models writes a thought."""

    name: str
    start: str
    end: str
    # What such a model writes itself right after the start marker.
    after_start: str
    # An empty thought, as these models' templates write it.
    empty_thought: str
    # Added tokens that a tokenizer of the family has; () where start and end are tokens.
    tokens: tuple[str, ...] = ()

    @property
    def needed_tokens(self) -> tuple[str, ...]:
        """Added tokens whose presence tells the family."""
        return self.tokens or (self.start, self.end)


def _tag_family(name: str, tag: str) -> MarkerFamily:
    """``<tag>``, thought, ``</tag>``, a line break after each as Qwen3 writes them."""
    start, end = f"<{tag}>", f"</{tag}>"
    return MarkerFamily(name, start, end, "\n", f"{start}\n\n{end}\n\n")


def _bare_family(name: str, start: str, end: str) -> MarkerFamily:
    """Markers with nothing around them."""
    return MarkerFamily(name, start, end, "", start + end)


THOUGHT_START = "<|startofthought|>"
THOUGHT_END = "<|endofthought|>"

# Looked for in this order.
FAMILIES = (
    # Quiet-STaR's tokens, also of this project's own small model.
    _bare_family("startofthought", THOUGHT_START, THOUGHT_END),
    # DeepSeek-R1, Qwen3, GLM, Nemotron, MiniMax-M2, Step3, ERNIE, Olmo 3, Phi-4-reasoning …
    _tag_family("think", "think"),
    _tag_family("mm-think", "mm:think"),  # MiniMax-M3
    _tag_family("seed-think", "seed:think"),  # Seed-OSS
    _tag_family("thought", "thought"),  # EXAONE Deep
    _bare_family("magistral", "[THINK]", "[/THINK]"),
    _bare_family("kimi-think", "◁think▷", "◁/think▷"),
    _bare_family("cohere", "<|START_THINKING|>", "<|END_THINKING|>"),
    MarkerFamily(
        name="gemma4",
        start="<|channel>thought\n",
        end="<channel|>",
        after_start="",
        empty_thought="<|channel>thought\n<channel|>",
        tokens=("<|channel>", "<channel|>"),
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

# A model with none of these is primed: our markers as plain text, a first line that
# sets it thinking, and a hidden last line that leads it to its answer. Both were chosen
# by trying them on SmolLM2-135M-Instruct: a numbered list keeps its steps short, and a
# lead-in of a line break only made it go on with the thought, or chat about it.
PRIMED = MarkerFamily("primed", THOUGHT_START, THOUGHT_END, "", "")
PRIMER_TEXT = "\nLet me think step by step:\n1."
LEAD_IN_TEXT = "\n\nMy answer:\n"
