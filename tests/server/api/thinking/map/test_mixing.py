"""The mixed log-probability against the whole softmax."""

from math import exp, inf, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from server.api.thinking.map.mixing import mix_logprobs
from server.engine.protocol import TokenLogprob, TokenLogprobs

VOCAB = 64


def make_entry(values: torch.Tensor, token_id: int, num_top: int) -> TokenLogprobs:
    """Return an engine's entry for a distribution, given as log-probabilities."""
    top = values.topk(num_top)
    return TokenLogprobs(
        TokenLogprob(token_id, float(values[token_id])),
        [
            TokenLogprob(int(i), float(v))
            for v, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        ],
    )


def draw_distributions(seed: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((2, VOCAB), generator=generator, dtype=torch.float64) * spread
    without, with_thought = torch.log_softmax(logits, dim=1)
    return without, with_thought


@given(
    st.integers(0, 10_000),
    st.floats(0.1, 8),
    st.floats(0, 1),
    st.integers(0, VOCAB - 1),
    st.integers(0, VOCAB),
)
def test_it_is_exact_where_all_is_known_and_never_too_high(
    seed: int, spread: float, weight: float, token_id: int, num_top: int
) -> None:
    without, with_thought = draw_distributions(seed, spread)
    mixture = torch.log_softmax(weight * with_thought + (1 - weight) * without, dim=0)
    true = float(mixture[token_id])

    def mix(num_known: int) -> float:
        before, after = (make_entry(v, token_id, num_known) for v in (without, with_thought))
        return mix_logprobs(token_id, before, after, weight)

    assert mix(VOCAB) == pytest.approx(true, abs=1e-6)
    assert mix(num_top) <= true + 1e-6
    if weight in (0, 1):
        assert mix(num_top) == pytest.approx(true, abs=1e-9)


def test_it_is_the_normalised_geometric_mean() -> None:
    without, with_thought = torch.tensor([[0.5, 0.5], [0.9, 0.1]], dtype=torch.float64).log()
    mixed = mix_logprobs(0, make_entry(without, 0, 2), make_entry(with_thought, 0, 2), 0.5)
    first, second = (0.5 * 0.9) ** 0.5, (0.5 * 0.1) ** 0.5
    assert mixed == pytest.approx(log(first / (first + second)), abs=1e-9)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_what_is_impossible_stays_so(weight: float) -> None:
    impossible = TokenLogprobs(TokenLogprob(3, -inf), [TokenLogprob(0, 0.0)])
    assert exp(mix_logprobs(3, impossible, impossible, weight)) == 0
