"""What an experiment is, and what it gives.

Knows no pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.proof.claims import Claim
from benchmarks.proof.laboratory import Laboratory


@dataclass(frozen=True, slots=True)
class Finding:
    """`text` is Markdown (tables, notes), `picture` a PNG."""

    text: str
    claims: Sequence[Claim] = ()
    picture: bytes | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """One block of the page, called `name`; `about` is one line."""

    name: str
    about: str
    run: Callable[[Laboratory], Finding]
