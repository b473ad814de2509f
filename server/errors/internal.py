"""Errors raised below the API layer: by prompts, engines and searches.

``server.errors.translation`` maps each to an API error. Does not know the wire format.
"""


class PromptError(ValueError):
    """Messages that cannot be rendered as a prompt. `field` is the invalid field, or None."""

    def __init__(self, field: str | None, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}" if field else problem)


class EngineError(Exception):
    """Base class of the errors that an engine raises."""


class EngineDeadError(EngineError):
    """The engine has died; no request can finish any more."""


class EngineRequestError(EngineError):
    """The engine rejected this request (a client error: 400)."""


class AbortedError(EngineError):
    """The engine aborted a request on its own initiative."""


class NoEngineError(EngineError):
    """No engine elsewhere is ready. The message names no address."""


class TooManyMigrationsError(EngineError):
    """The engines of a request were lost too often: `num_lost` times."""

    def __init__(self, num_lost: int) -> None:
        super().__init__(f"{num_lost} engines were lost")
        self.num_lost = num_lost


class GivenUpError(EngineError):
    """The engine gave up all requests because the server is shutting down."""


class ConstraintError(EngineRequestError):
    """The engine cannot enforce a constraint; `field` is the request field that set it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class ScorerError(Exception):
    """The reward model returned no scores. The message contains no text of a thought."""


class SearchError(Exception):
    """The search could not continue; the tokens of its branches have been spent."""

    def __init__(self, strategy: str, reason: str, num_spent: int) -> None:
        super().__init__(
            f"strategy {strategy!r}: the reward model gave no scores: {reason}; "
            f"{num_spent} reasoning tokens have been spent"
        )
        self.strategy = strategy
        self.num_spent = num_spent
