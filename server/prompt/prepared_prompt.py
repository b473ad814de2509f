"""A prompt whose budget is resolved and whose thought is planned. A record."""

from collections.abc import Sequence
from dataclasses import dataclass

from thinking.budget import ThinkingBudget
from thinking.plan import ThinkingPlan


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """Prompt ids with the budget and plan that hold for each choice made from them."""

    token_ids: Sequence[int]
    budget: ThinkingBudget
    plan: ThinkingPlan
    # Tokens between the prompt's end and the context's, and those of them for thoughts.
    context_left: int
    thought_room: int
    advice: tuple[str, ...] = ()
    # Of the engine's own kind, for its requests; None: the prompt has none.
    images: object | None = None
    # Whether the reply goes on with the prompt's own text.
    continues: bool = False

    @property
    def context_token_ids(self) -> Sequence[int]:
        """What the text of a reply depends on."""
        return self.token_ids if self.continues else ()
