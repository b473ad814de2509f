"""Errors raised below the API: by prompts, the engine, and searches.

``server.errors.translation`` says what a client is told of each. Knows no wire.
"""


class PromptError(ValueError):
    """Messages that cannot become a prompt. `field` is the place at fault, or None."""

    def __init__(self, field: str | None, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}" if field else problem)


class EngineError(Exception):
    """Base of what an engine raises."""


class EngineDeadError(EngineError):
    """The engine has died; no request will ever finish again."""


class EngineRequestError(EngineError):
    """The engine refuses this request (the caller's fault: a 400)."""


class AbortedError(EngineError):
    """The engine gave a request up that nobody had asked it to."""


class GivenUpError(EngineError):
    """The engine was told to give all requests up: the server ends."""


class ConstraintError(EngineRequestError):
    """The engine cannot hold an answer to its constraint; `field` is where that came from."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class ScorerError(Exception):
    """The reward model gave no scores; the text says why, and nothing of a thought."""


class SearchError(Exception):
    """The search could not go on; the branches' tokens have been spent."""

    def __init__(self, strategy: str, reason: str, num_spent: int) -> None:
        super().__init__(
            f"strategy {strategy!r}: the reward model gave no scores: {reason}; "
            f"{num_spent} reasoning tokens have been spent"
        )
        self.strategy = strategy
        self.num_spent = num_spent
