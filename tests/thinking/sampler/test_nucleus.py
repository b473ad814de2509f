"""Top-k and top-p keep what vLLM's sorting sampler keeps, so draws have the same distribution."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch

from thinking.sampler.constraints import NEG_INF
from thinking.sampler.nucleus import Nucleus, keep_nucleus

VOCAB_SIZE = 3_000
EPSILON = 1e-5  # of probability: sums of float32 in another order


def draw_logits(seed: int, scale: float, num_excluded: int) -> torch.Tensor:
    """Return the logits of one row, some of them excluded before; no two alike."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(VOCAB_SIZE, generator=generator) * scale
    logits += torch.arange(VOCAB_SIZE) * 1e-6
    excluded = torch.randperm(VOCAB_SIZE, generator=generator)[:num_excluded]
    logits[excluded] = NEG_INF
    return logits


@given(
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.0, 0.5, 2.0, 8.0, 40.0]),
    num_excluded=st.sampled_from([0, 10, VOCAB_SIZE - 1]),
    top_k=st.sampled_from([0, 1, 2, 50, VOCAB_SIZE, VOCAB_SIZE + 1]),
    top_p=st.floats(0.001, 1.0),
)
def test_the_kept_tokens_are_vllms(
    seed: int, scale: float, num_excluded: int, top_k: int, top_p: float
) -> None:
    logits = draw_logits(seed, scale, num_excluded)
    ours = logits.clone()
    keep_nucleus(ours, Nucleus(top_k, top_p))
    k = torch.tensor([min(top_k, VOCAB_SIZE) or VOCAB_SIZE])
    theirs = apply_top_k_top_p_pytorch(logits.clone()[None], k, torch.tensor([top_p]), True)[0]
    kept, expected = ours.isfinite(), theirs.isfinite()
    assert torch.equal(ours[kept], logits[kept])
    assert kept.any()
    # Where a sum is `top_p` up to rounding, a token at the edge may be on either side.
    limited = logits.masked_fill(~(kept | expected), NEG_INF)
    differing = limited.softmax(-1)[kept != expected]
    assert float(differing.sum()) < EPSILON


@given(seed=st.integers(0, 2**31), top_p=st.floats(0.0, 1.0), top_k=st.integers(0, 5))
def test_the_likeliest_token_is_always_kept(seed: int, top_p: float, top_k: int) -> None:
    """So that the processor may call itself invariant to greedy sampling."""
    logits = draw_logits(seed, 2.0, 0)
    best = int(logits.argmax())
    keep_nucleus(logits, Nucleus(top_k, top_p))
    assert int(logits.argmax()) == best


def test_draws_from_a_nucleus_have_its_probabilities() -> None:
    """Pearson's chi-squared over 20,000 draws, against the reference computed by sorting."""
    from scipy.stats import chisquare

    logits = draw_logits(3, 3.0, 0)
    reference = apply_top_k_top_p_pytorch(
        logits.clone()[None], torch.tensor([40]), torch.tensor([0.8]), True
    )[0].softmax(-1)
    keep_nucleus(logits, Nucleus(40, 0.8))
    generator = torch.Generator().manual_seed(1)
    draws = logits.softmax(-1).multinomial(20_000, replacement=True, generator=generator)
    counts = draws.bincount(minlength=VOCAB_SIZE).double()
    places = reference.nonzero().squeeze(-1)
    assert counts.sum() == counts[places].sum()
    expected = reference[places].double()
    assert chisquare(counts[places], expected / expected.sum() * counts.sum()).pvalue > 0.001


@pytest.mark.parametrize(("nucleus", "expected"), [(Nucleus(), True), (Nucleus(1), False)])
def test_limits_that_exclude_nothing_are_known(nucleus: Nucleus, expected: bool) -> None:
    assert nucleus.keeps_all is expected
