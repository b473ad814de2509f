"""The scripted engine's draw of a token from a row of logits, as vLLM's sampler would.

Knows neither plans nor batches.
"""

from collections.abc import Sequence

import torch

from server.engine.protocol import SamplingSettings, TokenLogprob, TokenLogprobs
from thinking.phase_sampling import MIN_TEMPERATURE


def restrict(
    logits: torch.Tensor,
    sampling: SamplingSettings,
    num_written: int,
    stop_token_ids: Sequence[int],
) -> None:
    """Apply bias, allowed tokens and the minimum length to logits ``[vocab]``, in place."""
    for token_id, bias in sampling.logit_bias.items():
        logits[token_id] += bias
    if sampling.allowed_token_ids is not None:
        allowed = torch.full_like(logits, float("-inf"))
        allowed[list(sampling.allowed_token_ids)] = 0.0
        logits += allowed
    if num_written < sampling.min_tokens:
        logits[list(stop_token_ids)] = float("-inf")


def sample(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> int:
    """Return the next token's id, for logits of shape ``[vocab]``."""
    if temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / max(temperature, MIN_TEMPERATURE), dim=0)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def compute_logprobs(raw: torch.Tensor, token_id: int, num_top: int) -> TokenLogprobs:
    """Return the log-probability of a token and the `num_top` largest, before any restriction."""
    values = torch.log_softmax(raw, dim=0)
    top = values.topk(num_top)
    return TokenLogprobs(
        TokenLogprob(token_id, float(values[token_id])),
        [
            TokenLogprob(int(i), float(v))
            for v, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        ],
    )
