"""Progress bar on standard error."""

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
    """Counts of outcomes, right answers and failures in this session."""

    bar: "tqdm[Never]"
    right: int = 0
    total: int = 0
    failures: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one outcome and advance the bar."""
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
def open_progress_bar(total: int, is_shown: bool | None) -> Iterator[Progress]:
    """Yield a bar of length `total`; `is_shown` None: only on a terminal."""
    from tqdm import tqdm

    # tqdm's own None means the same.
    is_hidden = None if is_shown is None else not is_shown
    with tqdm(total=total, unit="req", disable=is_hidden, file=sys.stderr) as bar:
        yield Progress(bar)
