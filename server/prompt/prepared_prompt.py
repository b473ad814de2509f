"""A prompt with its resolved budget and thinking plan. A record."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.prompt.cut_thought import ThoughtOrigin
from thinking.budget import ThinkingBudget
from thinking.markers.profile import MarkerProfile
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
    # Number of tokens of an earlier reply's thought that the prompt ends with, and which goes on;
    # None: none does. Behind it may be the tokens that close it.
    num_continued: int | None = None
    # Where the text ends that the client knows: a thought may follow it.
    num_visible: int | None = None
    # To seal a thought; None: no client wants it.
    origin: ThoughtOrigin | None = None

    @property
    def context_token_ids(self) -> Sequence[int]:
        """Token ids of the text that the reply continues, which its decoding depends on."""
        return self.visible_token_ids if self.continues else ()

    def get_continued_text_ids(self, profile: MarkerProfile) -> Sequence[int]:
        """Return the token ids of the earlier reply's thought, without the start marker."""
        if self.num_visible is None or self.num_continued is None:
            return ()
        start = profile.start_token_ids
        thought = tuple(self.token_ids[self.num_visible : self.num_visible + self.num_continued])
        return thought[len(start) :] if thought[: len(start)] == start else thought

    @property
    def visible_token_ids(self) -> Sequence[int]:
        """Token ids of the prompt without a thought of an earlier reply."""
        return self.token_ids[: self.num_visible]
