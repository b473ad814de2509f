"""A trace as the server returns it, with the fields that verify and export need.

Unknown fields are ignored: a newer server may send more.
"""

from collections.abc import Iterable
from statistics import fmean

from pydantic import BaseModel

Conversation = tuple[tuple[str, str], ...]  # (role, text) of each turn
# Minimum score of a good answer, unless the command line sets another.
GOOD_SCORE = 0.5


class Message(BaseModel):
    """Turn of the question."""

    role: str
    content: str

    def to_dict(self) -> dict[str, str]:
        """Return the message as in a training file."""
        return {"role": self.role, "content": self.content}


class Markers(BaseModel):
    """Texts around the model's thoughts."""

    start: str
    end: str


class Thought(BaseModel):
    """Thought, after `at` characters of the answer."""

    text: str
    at: int = 0


class Receipt(BaseModel):
    """Fields of the receipt that are used here."""

    segments: int = 1


class Choice(BaseModel):
    """Answer with its thoughts."""

    index: int
    thoughts: list[Thought]
    answer: str
    finish_reason: str
    thinking: Receipt


class Verdict(BaseModel):
    """Verdict of a verifier on one choice."""

    choice: int
    score: float
    verifier: str | None = None


class Trace(BaseModel):
    """Request with its answers and their verdicts."""

    id: str
    messages: list[Message]
    markers: Markers
    choices: list[Choice]
    verdicts: list[Verdict] = []

    def score(self, choice: int, verifier: str | None = None) -> float | None:
        """Return the mean verdict on `choice`, of `verifier` alone if given; None without any."""
        scores = [
            verdict.score
            for verdict in self.verdicts
            if verdict.choice == choice and verifier in (None, verdict.verifier)
        ]
        return fmean(scores) if scores else None

    @property
    def question(self) -> Conversation:
        """The turns without instructions; prompts that share them are the same question."""
        return to_conversation((message.role, message.content) for message in self.messages)


def to_conversation(turns: Iterable[tuple[str, str]]) -> Conversation:
    """Return `turns` without instructions, and without white space around each."""
    return tuple(
        (role, text.strip()) for role, text in turns if role not in ("system", "developer")
    )
