"""A scripted model that plays a task with tools, turn by turn, as an agent asks for them.

How far the task is, it reads from its prompt alone: from the number of results of tools in it. So a
call that never reached the agent, or a result that never came back, stops the task. Does not know
which agent it is, nor in which API it asks.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from server.engine.scripted_model import WantedTokens
from tests.server.conftest import TOKENIZER, VOCAB_SIZE, wants
from tests.server.tools.conftest import write_call

# As the tool prompt writes one, for a chat template that does not know tools.
RESULT = "<tool_response>\n"
THOUGHT = "What is to be done?</think>"
FINAL_ANSWER = "The task is done: all three calls were answered."
ASIDE = "A title"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool that the agent offers, and a text that its result must show."""

    tool: str
    arguments: dict[str, Any]
    result: str

    def write(self) -> str:
        """Return the call as a model of Hermes' family writes it."""
        return write_call(self.tool, json.dumps(self.arguments))


@dataclass(slots=True)
class TaskModel:
    """Writes the calls of `calls` one after the other, each in a turn of its own, then an answer.

    A prompt without the first tool is not about the task (agents ask for titles): it is answered
    with a few words. `prompts` are all that were read.
    """

    calls: Sequence[Call]
    vocab_size: int = VOCAB_SIZE
    prompts: list[str] = field(default_factory=list)
    _turns: dict[int, tuple[Sequence[int], WantedTokens]] = field(default_factory=dict)

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`server.engine.scripted_model.LogitsSource`."""
        if id(prompt) not in self._turns:
            # The prompt is kept too, so that its id stays its own.
            self._turns[id(prompt)] = (prompt, wants(THOUGHT + self._choose(prompt)))
        return self._turns[id(prompt)][1].compute_logits(prompt, output)

    @property
    def last_prompt(self) -> str:
        """The longest of the prompts: that of the last turn of the task."""
        return max(self.prompts, key=len)

    def _choose(self, prompt: Sequence[int]) -> str:
        text = str(TOKENIZER.decode(list(prompt)))
        self.prompts.append(text)
        if json.dumps(self.calls[0].tool) not in text:
            return ASIDE
        num_results = text.count(RESULT)
        return self.calls[num_results].write() if num_results < len(self.calls) else FINAL_ANSWER
