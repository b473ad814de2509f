"""Search over thoughts at temperature 1 against one thought, at equal total tokens.

One thought ends by itself; more budget does not make it longer. What it could do with as
many tokens as a search is therefore the best of: thoughts that end by themselves for at
most so many, and thoughts that were held open with "Wait," for at most so many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.proof.claims import Claim, Verdict
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import Difference, paired_difference
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Measured, Point
from benchmarks.proof.search_picture import search_picture
from benchmarks.proof.tables import NOTHING, count, table

TASKS = {"chains-mod100": "modulo 100"}
SAMPLES = 1
SINGLE_BUDGETS = (16, 32, 48, 64, 96, 128)
HELD_OPEN = (80, 150)  # min_thinking_tokens
ROOM_TO_END = 120  # of a thought that was held open
BRANCH_TOKENS = 112  # the longest thought, its markers, a trial answer, and no grace reached
ANSWER_TOKENS = 4
STEP_TOKENS = 12
STEPS_BUDGET = 900
REWARD, CONFIDENCE = "reward", "confidence"
SINGLE, HELD = "one thought", "one, held open with “Wait,”"


@dataclass(frozen=True, slots=True)
class Search:
    """One variant of a strategy; `budget` is large enough that nothing is cut."""

    family: str
    label: str
    options: Mapping[str, Any]
    budget: int

    @property
    def needs_scorer(self) -> bool:
        """Whether it asks the reward model."""
        by_reward = self.options.get("score_by") != CONFIDENCE
        return self.options["name"] in {"reward", "beam", "mcts"} and by_reward


def whole(name: str, n: int) -> Search:
    """`n` whole replies."""
    options = {"name": name, "n": n, "answer_tokens": ANSWER_TOKENS}
    return Search(name, f"{name}, n = {n}", options, n * BRANCH_TOKENS)


def steps(name: str, label: str, score_by: str, **fields: int) -> Search:
    """A search by steps of a line, judged by the reward model or the thinker itself."""
    options = {"name": name, **fields, "step_tokens": STEP_TOKENS, "score_by": score_by}
    family = f"{name} by {score_by}"
    return Search(family, f"{family}, {label}", options, STEPS_BUDGET)


SEARCHES = (
    *(whole("best_of", n) for n in (2, 4, 8)),
    *(whole("self_consistency", n) for n in (3, 5, 9)),
    *(whole("reward", n) for n in (2, 4, 8)),
    steps("beam", "1 × 4", REWARD, width=1, expand=4),
    steps("beam", "2 × 3", REWARD, width=2, expand=3),
    steps("beam", "1 × 2", CONFIDENCE, width=1, expand=2),
    steps("beam", "1 × 4", CONFIDENCE, width=1, expand=4),
    steps("beam", "2 × 3", CONFIDENCE, width=2, expand=3),
    steps("mcts", "expand 3", REWARD, expand=3),
    steps("mcts", "expand 3", CONFIDENCE, expand=3),
)


@dataclass(frozen=True, slots=True)
class Tried:
    """A point of a run, with its replies; `family` has one line in the picture."""

    family: str
    label: str
    measured: Measured
    budget: int

    @property
    def point(self) -> Point:
        return self.measured.report.at(self.budget)

    @property
    def tokens(self) -> float:
        """All that was generated, a mean a reply."""
        return self.point.mean_completion_tokens

    def beats(self, other: "Tried") -> Difference:
        """By how much, over the same tasks."""
        return paired_difference(
            self.measured.by_task(self.budget), other.measured.by_task(other.budget)
        )


def run(laboratory: Laboratory) -> Finding:
    """See the module."""
    parts, claims, drawn = [], [], []
    for tasks, words in TASKS.items():
        singles, searches = _singles(laboratory, tasks), _searches(laboratory, tasks)
        parts.append(f"Chains {words}:\n\n{_table(singles, searches)}")
        for family in _families(searches):
            variants = [search for search in searches if search.family == family]
            claims.append(family_claim(words, variants, singles))
        drawn.append([*singles, *searches])
        _compare(laboratory, tasks, [*singles, *searches])
    return Finding("\n\n".join(parts), claims, search_picture(list(TASKS.values()), drawn))


def rival(search: Tried, singles: Sequence[Tried]) -> Tried:
    """The best that one thought did for at most as many tokens as `search`.

    Raises:
        ValueError: it never took so few.
    """
    cheaper = [single for single in singles if single.tokens <= search.tokens]
    return max(cheaper, key=lambda single: single.point.accuracy.share)


def family_claim(words: str, variants: Sequence[Tried], singles: Sequence[Tried]) -> Claim:
    """That a strategy, in the variant that gains most, beats one thought."""
    gains = [(variant, variant.beats(rival(variant, singles))) for variant in variants]
    best, gain = max(gains, key=lambda pair: pair[1].low)
    return Claim(
        f"{words.capitalize()}, {best.label} beats one thought at equal total tokens",
        f"{gain} points",
        Verdict.of(gain.is_gain),
    )


def _compare(laboratory: Laboratory, tasks: str, tried: Sequence[Tried]) -> None:
    """Keep what ``thinking compare`` says too, beside the reports."""
    reports = list(dict.fromkeys(one.measured.path for one in tried))
    text = laboratory.thinking(["compare", "--axis=completion", *map(str, reports)])
    (laboratory.output / f"compare-{tasks}.md").write_text(text)


def _singles(laboratory: Laboratory, tasks: str) -> list[Tried]:
    one = EvalRun(f"search-{tasks}-single", tasks, SINGLE_BUDGETS, temperature=1.0, samples=SAMPLES)
    measured = laboratory.evaluate(one)
    tried = [Tried(SINGLE, f"{SINGLE}, budget {b}", measured, b) for b in SINGLE_BUDGETS]
    for least in HELD_OPEN:
        held = EvalRun(
            f"search-{tasks}-held-{least}",
            tasks,
            (least + ROOM_TO_END,),
            temperature=1.0,
            samples=SAMPLES,
            extra={"min_thinking_tokens": least},
        )
        label = f"one, held open for {least}"
        tried.append(Tried(HELD, label, laboratory.evaluate(held), least + ROOM_TO_END))
    return tried


def _searches(laboratory: Laboratory, tasks: str) -> list[Tried]:
    return [
        Tried(
            search.family,
            search.label,
            laboratory.evaluate(
                EvalRun(
                    f"search-{tasks}-{_file_name(search)}",
                    tasks,
                    (search.budget,),
                    temperature=1.0,
                    samples=SAMPLES,
                    options={"strategy": dict(search.options)},
                    needs_scorer=search.needs_scorer,
                )
            ),
            search.budget,
        )
        for search in SEARCHES
    ]


def _file_name(search: Search) -> str:
    numbers = [str(v) for k, v in search.options.items() if k in {"n", "width", "expand"}]
    return "-".join([search.family.replace(" ", "-"), *numbers])


def _families(searches: Sequence[Tried]) -> list[str]:
    return list(dict.fromkeys(search.family for search in searches))


def _table(singles: Sequence[Tried], searches: Sequence[Tried]) -> str:
    head = ["", "all tokens", "accuracy", "cut", "one thought for as many", "difference (points)"]
    rows = [_cells(single) + [NOTHING] * 2 for single in singles]
    for search in searches:
        other = rival(search, singles)
        gain = str(search.beats(other))
        rows.append([*_cells(search), f"{other.point.accuracy.share * 100:.1f} %", gain])
    return table(head, rows)


def _cells(tried: Tried) -> list[str]:
    point = tried.point
    cut = f"{point.num_cut}/{point.replies}"
    return [tried.label, count(tried.tokens), str(point.accuracy), cut]
