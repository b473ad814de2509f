"""The time of a key lookup reveals nothing, and does not grow with the number of keys."""

import time
from statistics import median

import pytest

from server.keys.reading import read_keys
from server.keys.ring import KeyRing
from server.keys.secret import generate_secret
from tests.server.keys.conftest import ALICE, make_entry

NUM_ROUNDS, NUM_CALLS = 61, 200
# Allowed ratio of two medians that should be equal, on a machine with other load.
SLACK = 1.5


def make_ring(secrets: list[str]) -> KeyRing:
    return read_keys(
        {"x": "".join(make_entry(f"k{n}", secret) for n, secret in enumerate(secrets))}
    )


def measure_seconds(ring: KeyRing, secret: bytes) -> float:
    start = time.thread_time()
    for _ in range(NUM_CALLS):
        ring.find(secret, 0)
    return time.thread_time() - start


def measure_medians(*cases: tuple[KeyRing, bytes]) -> list[float]:
    """Measure the cases in turn, so that other load on the machine affects all alike."""
    rounds = [[measure_seconds(ring, secret) for ring, secret in cases] for _ in range(NUM_ROUNDS)]
    return [median(times) for times in zip(*rounds, strict=True)]


def test_the_time_does_not_show_where_a_secret_is_wrong() -> None:
    ring = make_ring([ALICE])
    first, last = b"#" + ALICE[1:].encode(), ALICE[:-1].encode() + b"#"
    at_first, at_last, right = measure_medians((ring, first), (ring, last), (ring, ALICE.encode()))
    assert 1 / SLACK < at_first / at_last < SLACK
    assert 1 / SLACK < right / at_last < SLACK


@pytest.mark.parametrize("num_keys", [10_000])
def test_many_keys_take_as_long_as_one(num_keys: int) -> None:
    secrets = [ALICE, *(generate_secret() for _ in range(num_keys - 1))]
    one, many = make_ring(secrets[:1]), make_ring(secrets)
    wrong = b"#" * 40
    assert all(many.find(secret.encode(), 0) for secret in secrets[::100])
    hit_one, hit_many, miss_many = measure_medians(
        (one, ALICE.encode()), (many, ALICE.encode()), (many, wrong)
    )
    assert hit_many < hit_one * 3
    assert miss_many < hit_one * 3
