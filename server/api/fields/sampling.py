"""How to think and to sample: the fields that a body has on each of OpenAI's endpoints."""

from typing import Annotated

from pydantic import Field

from server.api.body import StrictModel
from server.api.fields.stop import StopStrings
from server.api.fields.thinking_options import ThinkingOptions
from server.reply.sampling import SamplingAsk

MAX_SEED = 2**63 - 1


class SamplingFields(StrictModel):
    """What needs the model (its vocabulary, its context) is checked where the model is known."""

    thinking_options: ThinkingOptions | None = None
    min_thinking_tokens: Annotated[
        int | None, Field(ge=0, description="Fewest hidden tokens: a thought is held open.")
    ] = None

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0, -1 or null: all tokens.")
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-MAX_SEED - 1, le=MAX_SEED)
    stop: StopStrings = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None

    def sampling_ask(self, num_logprobs: int | None) -> SamplingAsk:
        """How the reply is sampled, with so many alternatives at each position."""
        return SamplingAsk(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            repetition_penalty=self.repetition_penalty,
            logit_bias=self.logit_bias,
            num_logprobs=num_logprobs,
        )
