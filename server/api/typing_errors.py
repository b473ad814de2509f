"""Finds the field that a misspelt name was meant to be. Knows no fields of its own."""

from collections.abc import Iterable

# Shorter names have too many neighbours: `n` is one edit away from every letter.
MIN_LENGTH = 4
LONG_NAME = 8
# Names of one edit from a field of ours that are words of their own.
_OWN_WORDS = frozenset({"mode", "models"})


def find_misspelt(name: str, known: Iterable[str]) -> str | None:
    """Return the field among `known` that `name` is a typing error of, or None.

    A typing error is one edit (an inserted, missing, wrong or swapped character), two in long
    names; capitals, hyphens and underscores do not count.
    """
    if name in _OWN_WORDS:
        return None
    plain = _normalize(name)
    best: tuple[int, str] | None = None
    for field in known:
        target = _normalize(field)
        limit = _allowed_edits(target, plain)
        if abs(len(target) - len(plain)) > limit:
            continue
        distance = count_edits(plain, target)
        if distance <= limit and (best is None or distance < best[0]):
            best = distance, field
    return None if best is None else best[1]


def count_edits(first: str, second: str) -> int:
    """Return the optimal string alignment distance: edits and swaps of neighbours."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        before, above, row = row, before, [i]
        for j, right in enumerate(second, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == second[j - 2] and first[i - 2] == right:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _normalize(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _allowed_edits(field: str, name: str) -> int:
    if len(field) < MIN_LENGTH:
        # Of a word of three letters only one that is longer by a letter.
        return int(len(field) == MIN_LENGTH - 1 and len(name) == MIN_LENGTH)
    return 2 if len(field) >= LONG_NAME else 1
