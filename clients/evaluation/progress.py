"""A progress bar on standard error, where somebody is looking."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

from clients.evaluation.reply import Outcome, Reply

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass(slots=True)
class Progress:
    """Counts outcomes, right answers and failures of this session."""

    bar: "tqdm[Never]"
    right: int = 0
    total: int = 0
    failures: int = 0

    def add(self, outcome: Outcome) -> None:
        """One more."""
        if isinstance(outcome.result, Reply):
            score = outcome.job.task.score(outcome.result.text)
            self.right += score.right
            self.total += score.total
        else:
            self.failures += 1
        share = f"{self.right / self.total:.0%}" if self.total else "–"
        self.bar.set_postfix_str(f"right {share}, failed {self.failures}", refresh=False)
        self.bar.update()


@contextmanager
def progress_bar(total: int, is_shown: bool | None) -> Iterator[Progress]:
    """A bar to `total`; `is_shown` None: only on a terminal."""
    from tqdm import tqdm

    # tqdm's own None means the same.
    is_hidden = None if is_shown is None else not is_shown
    with tqdm(total=total, unit="req", disable=is_hidden, file=sys.stderr) as bar:
        yield Progress(bar)
