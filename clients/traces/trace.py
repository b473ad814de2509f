"""A trace as the server shows it: what verify and export need of it.

Unknown fields are left alone: a newer server may send more.
"""

from collections.abc import Iterable
from statistics import fmean

from pydantic import BaseModel

Conversation = tuple[tuple[str, str], ...]  # (role, text) of each turn
# From here on an answer is good, unless the command line says otherwise.
GOOD_SCORE = 0.5


class Message(BaseModel):
    """One turn of the question."""

    role: str
    content: str

    def to_dict(self) -> dict[str, str]:
        """As in a training file."""
        return {"role": self.role, "content": self.content}


class Markers(BaseModel):
    """The texts around the model's thoughts."""

    start: str
    end: str


class Thought(BaseModel):
    """One thought, after `at` characters of the answer."""

    text: str
    at: int = 0


class Receipt(BaseModel):
    """What of the receipt matters here."""

    segments: int = 1


class Choice(BaseModel):
    """One answer with its thoughts."""

    index: int
    thoughts: list[Thought]
    answer: str
    finish_reason: str
    thinking: Receipt


class Verdict(BaseModel):
    """What someone said of one choice."""

    choice: int
    score: float
    verifier: str | None = None


class Trace(BaseModel):
    """One request with its answers and their verdicts."""

    id: str
    messages: list[Message]
    markers: Markers
    choices: list[Choice]
    verdicts: list[Verdict] = []

    def score(self, choice: int, verifier: str | None = None) -> float | None:
        """Mean of the verdicts on `choice` (of `verifier` only, where given); None: no verdict."""
        scores = [
            verdict.score
            for verdict in self.verdicts
            if verdict.choice == choice and verifier in (None, verdict.verifier)
        ]
        return fmean(scores) if scores else None

    @property
    def question(self) -> Conversation:
        """The turns without instructions: by this two prompts are the same question."""
        return conversation((message.role, message.content) for message in self.messages)


def conversation(turns: Iterable[tuple[str, str]]) -> Conversation:
    """`turns` without instructions, and without the white space around each."""
    return tuple(
        (role, text.strip()) for role, text in turns if role not in ("system", "developer")
    )
