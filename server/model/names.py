"""The names under which models are served. Knows no keys."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain


class DuplicateNameError(ValueError):
    """Two models have the same name."""


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Names of one model, without repetition; the first is the one in responses.

    `accepts_any`: requests for other names get the same model.
    """

    names: tuple[str, ...]
    accepts_any: bool = False

    @classmethod
    def of(
        cls, first: str, others: tuple[str, ...] | list[str] = (), *, accepts_any: bool = False
    ) -> "ModelNames":
        """Return `first` and those `others` that differ from it."""
        return cls(tuple(dict.fromkeys((first, *others))), accepts_any)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def include(self, name: str) -> bool:
        """Return whether the model is served under `name`."""
        return name in self.names


def check_names(models: Iterable[ModelNames]) -> None:
    """Check the names of all models of a server.

    Raises:
        DuplicateNameError: two have the same.
    """
    counts = Counter(chain.from_iterable(models))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise DuplicateNameError(f"two models have the name {twice[0]!r}")
