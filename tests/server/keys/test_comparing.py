"""How long a wrong secret takes tells nothing, and ten thousand keys cost what one costs."""

import time
from statistics import median

import pytest

from server.keys.reading import read_keys
from server.keys.ring import KeyRing
from server.keys.secret import new_secret
from tests.server.keys.conftest import ALICE, entry

NUM_ROUNDS, NUM_CALLS = 61, 200
# Of two medians that should be the same, on a machine that does other things too.
SLACK = 1.5


def ring_of(secrets: list[str]) -> KeyRing:
    return read_keys({"x": "".join(entry(f"k{n}", secret) for n, secret in enumerate(secrets))})


def seconds(ring: KeyRing, secret: bytes) -> float:
    start = time.perf_counter()
    for _ in range(NUM_CALLS):
        ring.find(secret, 0)
    return time.perf_counter() - start


def medians(*cases: tuple[KeyRing, bytes]) -> list[float]:
    """By turns, so that whatever else the machine does meets all alike."""
    rounds = [[seconds(ring, secret) for ring, secret in cases] for _ in range(NUM_ROUNDS)]
    return [median(times) for times in zip(*rounds, strict=True)]


def test_where_a_secret_is_wrong_does_not_show_in_the_time() -> None:
    ring = ring_of([ALICE])
    first, last = b"#" + ALICE[1:].encode(), ALICE[:-1].encode() + b"#"
    at_first, at_last, right = medians((ring, first), (ring, last), (ring, ALICE.encode()))
    assert 1 / SLACK < at_first / at_last < SLACK
    assert 1 / SLACK < right / at_last < SLACK


@pytest.mark.parametrize("num_keys", [10_000])
def test_many_keys_cost_what_one_costs(num_keys: int) -> None:
    secrets = [ALICE, *(new_secret() for _ in range(num_keys - 1))]
    one, many = ring_of(secrets[:1]), ring_of(secrets)
    wrong = b"#" * 40
    assert all(many.find(secret.encode(), 0) for secret in secrets[::100])
    hit_one, hit_many, miss_many = medians(
        (one, ALICE.encode()), (many, ALICE.encode()), (many, wrong)
    )
    assert hit_many < hit_one * 3
    assert miss_many < hit_one * 3
