"""Seeds of a request's choices: each its own, none that the engine takes for another value."""

from hypothesis import given
from hypothesis import strategies as st

from server.engine.protocol import MAX_SEED, SamplingSettings

seeds = st.integers(-(2**63), 2**64)


@given(seeds, st.integers(0, 2**40))
def test_a_seed_with_an_offset_is_one_that_the_engine_takes(seed: int, offset: int) -> None:
    sampling = SamplingSettings(max_tokens=1, seed=seed).with_seed_offset(offset)
    assert sampling.seed is not None
    assert 0 <= sampling.seed <= MAX_SEED


@given(seeds, st.integers(0, 1000), st.integers(0, 1000))
def test_different_offsets_give_different_seeds(seed: int, first: int, second: int) -> None:
    sampling = SamplingSettings(max_tokens=1, seed=seed)
    is_same = sampling.with_seed_offset(first) == sampling.with_seed_offset(second)
    assert is_same is (first == second)


def test_without_a_seed_there_is_no_offset() -> None:
    sampling = SamplingSettings(max_tokens=1)
    assert sampling.with_seed_offset(3) == sampling
