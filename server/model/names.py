"""The names under which the model is served. Knows no keys."""

from collections.abc import Iterator
from dataclasses import dataclass


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
