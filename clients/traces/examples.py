"""Turns traces into training examples in the conversational formats of TRL.

SFT: ``{"prompt": […], "completion": […]}`` or ``{"messages": […]}``; DPO: ``{"prompt",
"chosen", "rejected"}``. Knows neither files nor the server.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from clients.traces.trace import GOOD_SCORE, Choice, Conversation, Message, Trace


class ExampleFormat(StrEnum):
    """Format of the examples."""

    SFT = "sft"  # prompt and completion: the loss is on the completion alone
    MESSAGES = "sft-messages"  # one list of messages
    DPO = "dpo"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options for what becomes an example; `verifier` None: the mean of all verdicts."""

    format: ExampleFormat
    good_from: float = GOOD_SCORE
    verifier: str | None = None
    with_thoughts: bool = True
    max_per_prompt: int = 4


@dataclass(frozen=True, slots=True)
class Example:
    """Line of a training file; `question` decides its side of the split."""

    question: Conversation
    messages: tuple[Message, ...]
    completion: str
    rejected: str | None = None

    def to_dict(self, kind: ExampleFormat) -> dict[str, Any]:
        """Return the line as a JSON object."""
        prompt = [message.to_dict() for message in self.messages]
        completion = [{"role": "assistant", "content": self.completion}]
        match kind:
            case ExampleFormat.SFT:
                return {"prompt": prompt, "completion": completion}
            case ExampleFormat.MESSAGES:
                return {"messages": [*prompt, *completion]}
            case ExampleFormat.DPO:
                rejected = [{"role": "assistant", "content": self.rejected}]
                return {"prompt": prompt, "chosen": completion, "rejected": rejected}


@dataclass(slots=True)
class _Prompt:
    """Prompt with its good and bad completions, each once, in order."""

    question: Conversation
    messages: tuple[Message, ...]
    good: dict[str, None] = field(default_factory=dict)
    bad: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class ExampleMaker:
    """Builds examples from traces. `left_out` counts unused choices by reason.

    `num_used` counts the choices that are used, repeated texts included.
    """

    options: ExportOptions
    left_out: Counter[str] = field(default_factory=Counter)
    num_used: int = 0
    num_repeated: int = 0
    _prompts: dict[tuple[tuple[str, str], ...], _Prompt] = field(default_factory=dict)

    def add(self, trace: Trace) -> None:
        """Sort the choices of `trace` into good and bad ones."""
        for choice in trace.choices:
            score = trace.score(choice.index, self.options.verifier)
            if score is None:
                self.left_out["no verdict"] += 1
            elif reason := self._find_fault(choice):
                self.left_out[reason] += 1
            else:
                self._sort(
                    trace, self._format_text(trace, choice), is_good=score >= self.options.good_from
                )

    def make_examples(self) -> Iterable[Example]:
        """Yield the examples by prompt, in the order in which the prompts came."""
        for prompt in self._prompts.values():
            good = list(prompt.good)[: self.options.max_per_prompt]
            if self.options.format is not ExampleFormat.DPO:
                for text in good:
                    yield Example(prompt.question, prompt.messages, text)
                continue
            # A text that was judged both ways teaches nothing.
            chosen = [text for text in good if text not in prompt.bad]
            rejected = [text for text in prompt.bad if text not in prompt.good]
            for better, worse in zip(chosen, rejected, strict=False):
                yield Example(prompt.question, prompt.messages, better, worse)

    def _find_fault(self, choice: Choice) -> str | None:
        if choice.finish_reason != "stop":
            return "cut off"
        if not choice.answer.strip():
            return "empty answer"
        inside = len(choice.thoughts) > 1 or any(thought.at for thought in choice.thoughts)
        if self.options.with_thoughts and (inside or choice.thinking.segments > 1):
            return "thoughts inside the answer"
        return None

    def _format_text(self, trace: Trace, choice: Choice) -> str:
        thought = "".join(thought.text for thought in choice.thoughts)
        if not (self.options.with_thoughts and thought):
            return choice.answer
        return f"{trace.markers.start}{thought}{trace.markers.end}{choice.answer}"

    def _sort(self, trace: Trace, text: str, *, is_good: bool) -> None:
        key = tuple((message.role, message.content) for message in trace.messages)
        prompt = self._prompts.setdefault(key, _Prompt(trace.question, tuple(trace.messages)))
        texts = prompt.good if is_good else prompt.bad
        self.num_used += 1
        self.num_repeated += text in texts
        texts.setdefault(text)
