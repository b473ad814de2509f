"""Experiments and their findings.

Knows no pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.proof.claims import Claim
from benchmarks.proof.laboratory import Laboratory


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of an experiment: `text` is Markdown (tables, notes), `picture` a PNG."""

    text: str
    claims: Sequence[Claim] = ()
    picture: bytes | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """Block `name` of the page; `about` describes it in one line."""

    name: str
    about: str
    run: Callable[[Laboratory], Finding]
