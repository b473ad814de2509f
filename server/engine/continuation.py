"""A request that goes on from the tokens that an earlier one has written.

The state of a thought follows from its tokens: a prompt that ends with them, and a plan that says
which they are, lead every sampler to the same place. Knows neither what broke off the earlier
request nor why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from server.engine.protocol import EngineRequest
from thinking.command import ThoughtCommand

# Keeps the random numbers of a continuation apart from those that its beginning was drawn with,
# and its seed from those of other choices and branches.
SEED_STRIDE = 104_729


@dataclass(slots=True)
class Continuation:
    """A request with what it has written, and the commands that follow."""

    request: EngineRequest
    written: Sequence[int]
    commands: list[ThoughtCommand] = field(default_factory=list)
    num_reply_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        """Number of tokens of the whole reply so far."""
        return len(self.request.plan.prior_token_ids) + len(self.written)

    @property
    def last_token_id(self) -> int | None:
        """The reply's last token; None if it has none."""
        written = self.written or self.request.plan.prior_token_ids[-1:]
        return written[-1] if written else None

    @property
    def num_left(self) -> int:
        """Number of tokens that the reply may still have."""
        return self.request.sampling.max_tokens - len(self.written) + self.num_reply_tokens

    def to_request(self, request_id: str) -> EngineRequest:
        """Return the request that continues the reply, as its commands say."""
        request, plan = self.request, self.request.plan
        sampling = request.sampling.with_seed_offset(SEED_STRIDE)
        return replace(
            request,
            request_id=request_id,
            prompt_token_ids=[*request.prompt_token_ids, *self.written],
            sampling=replace(
                sampling,
                max_tokens=self.num_left,
                min_tokens=max(0, sampling.min_tokens - len(self.written)),
            ),
            plan=replace(
                plan,
                prior_token_ids=(*plan.prior_token_ids, *self.written),
                commands=(*plan.commands, *self.commands),
            ),
        )
