"""What can go wrong in a search beside the engine."""


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
