"""A prompt with its resolved budget and thinking plan. A record."""

from collections.abc import Sequence
from dataclasses import dataclass

from thinking.budget import ThinkingBudget
from thinking.plan import ThinkingPlan


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """Prompt token ids, with the budget and plan of each choice generated from them."""

    token_ids: Sequence[int]
    budget: ThinkingBudget
    plan: ThinkingPlan
    # Tokens left in the context after the prompt, and how many of them thoughts may use.
    context_left: int
    thought_room: int
    advice: tuple[str, ...] = ()
    # Opaque data of the engine, for its requests; None: the prompt has no images.
    images: object | None = None
    # True if the reply continues the text of the prompt.
    continues: bool = False

    @property
    def context_token_ids(self) -> Sequence[int]:
        """Token ids of the text that the reply continues, which its decoding depends on."""
        return self.token_ids if self.continues else ()
