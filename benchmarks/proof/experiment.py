"""What an experiment is, and what it gives.

Knows neither servers nor pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.proof.claims import Claim

if TYPE_CHECKING:
    from benchmarks.proof.laboratory import Laboratory


class SkippedError(Exception):
    """Something that the experiment is about is not there; the message says what."""


class FailedError(Exception):
    """A server or a command did not do what it should; the message says which."""


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
    run: Callable[["Laboratory"], Finding]
