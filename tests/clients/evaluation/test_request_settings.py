"""Seeds: the same request always has the same one, and no two tasks share theirs."""

from hypothesis import given
from hypothesis import strategies as st

from clients.evaluation.request_settings import derive_seed


def test_no_two_tasks_of_a_set_share_their_noise() -> None:
    seeds = {derive_seed(0, f"chain-{i}", sample=0) for i in range(200)}
    assert len(seeds) == 200


@given(st.integers(-(2**63), 2**63), st.text(), st.integers(0, 1000))
def test_a_seed_fits_every_server_and_is_the_same_each_time(
    seed: int, task_id: str, sample: int
) -> None:
    value = derive_seed(seed, task_id, sample)
    assert 0 <= value < 2**31
    assert value == derive_seed(seed, task_id, sample)
    assert value != derive_seed(seed, task_id, sample + 1)
