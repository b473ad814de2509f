"""Search over thoughts at temperature 1 against one thought, at equal total tokens.

One thought ends by itself; more budget does not make it longer. Its best result at a search's
number of tokens is therefore the better one of: thoughts that end by themselves within that
number, and thoughts that are held open with "Wait," within that number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.proof.claims import Claim, Verdict
from benchmarks.proof.evaluation import EvalRun
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import Difference, compute_paired_difference
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.report import Measurement, Point
from benchmarks.proof.search_picture import draw_searches
from benchmarks.proof.tables import NOTHING, format_count, format_table

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
    """Variant of a strategy; `budget` is large enough that nothing is cut."""

    family: str
    label: str
    options: Mapping[str, Any]
    budget: int

    @property
    def needs_scorer(self) -> bool:
        """True if it uses the reward model."""
        by_reward = self.options.get("score_by") != CONFIDENCE
        return self.options["name"] in {"reward", "beam", "mcts"} and by_reward


def make_whole_search(name: str, n: int) -> Search:
    """Return a search over `n` whole replies."""
    options = {"name": name, "n": n, "answer_tokens": ANSWER_TOKENS}
    return Search(name, f"{name}, n = {n}", options, n * BRANCH_TOKENS)


def make_step_search(name: str, label: str, score_by: str, **fields: int) -> Search:
    """Return a search by steps of one line, scored by the reward model or the thinker itself."""
    options = {"name": name, **fields, "step_tokens": STEP_TOKENS, "score_by": score_by}
    family = f"{name} by {score_by}"
    return Search(family, f"{family}, {label}", options, STEPS_BUDGET)


SEARCHES = (
    *(make_whole_search("best_of", n) for n in (2, 4, 8)),
    *(make_whole_search("self_consistency", n) for n in (3, 5, 9)),
    *(make_whole_search("reward", n) for n in (2, 4, 8)),
    make_step_search("beam", "1 × 4", REWARD, width=1, expand=4),
    make_step_search("beam", "2 × 3", REWARD, width=2, expand=3),
    make_step_search("beam", "1 × 2", CONFIDENCE, width=1, expand=2),
    make_step_search("beam", "1 × 4", CONFIDENCE, width=1, expand=4),
    make_step_search("beam", "2 × 3", CONFIDENCE, width=2, expand=3),
    make_step_search("mcts", "expand 3", REWARD, expand=3),
    make_step_search("mcts", "expand 3", CONFIDENCE, expand=3),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """Point of a run with its replies; each `family` has one line in the picture."""

    family: str
    label: str
    measured: Measurement
    budget: int

    @property
    def point(self) -> Point:
        return self.measured.report.get_point(self.budget)

    @property
    def tokens(self) -> float:
        """Mean number of generated tokens per reply."""
        return self.point.mean_completion_tokens

    def compute_gain_over(self, other: "Trial") -> Difference:
        """Return the paired difference to `other` over the same tasks."""
        return compute_paired_difference(
            self.measured.compute_task_shares(self.budget),
            other.measured.compute_task_shares(other.budget),
        )


def run(laboratory: Laboratory) -> Finding:
    """Run the experiment that the module describes."""
    parts, claims, drawn = [], [], []
    for tasks, words in TASKS.items():
        singles, searches = (
            _measure_singles(laboratory, tasks),
            _measure_searches(laboratory, tasks),
        )
        parts.append(f"Chains {words}:\n\n{_format_table(singles, searches)}")
        for family in _list_families(searches):
            variants = [search for search in searches if search.family == family]
            claims.append(make_family_claim(words, variants, singles))
        drawn.append([*singles, *searches])
        _save_comparison(laboratory, tasks, [*singles, *searches])
    return Finding("\n\n".join(parts), claims, draw_searches(list(TASKS.values()), drawn))


def find_rival(search: Trial, singles: Sequence[Trial]) -> Trial:
    """Return the best result of one thought for at most as many tokens as `search`.

    Raises:
        ValueError: one thought never took so few.
    """
    cheaper = [single for single in singles if single.tokens <= search.tokens]
    return max(cheaper, key=lambda single: single.point.accuracy.share)


def make_family_claim(words: str, variants: Sequence[Trial], singles: Sequence[Trial]) -> Claim:
    """Return the claim that a strategy, in the variant that gains most, beats one thought."""
    gains = [
        (variant, variant.compute_gain_over(find_rival(variant, singles))) for variant in variants
    ]
    best, gain = max(gains, key=lambda pair: pair[1].low)
    return Claim(
        f"{words.capitalize()}, {best.label} beats one thought at equal total tokens",
        f"{gain} points",
        Verdict.from_bool(gain.is_gain),
    )


def _save_comparison(laboratory: Laboratory, tasks: str, tried: Sequence[Trial]) -> None:
    """Save the output of ``thinking compare`` beside the reports."""
    reports = list(dict.fromkeys(one.measured.path for one in tried))
    text = laboratory.run_thinking(["compare", "--axis=completion", *map(str, reports)])
    (laboratory.output / f"compare-{tasks}.md").write_text(text)


def _measure_singles(laboratory: Laboratory, tasks: str) -> list[Trial]:
    one = EvalRun(f"search-{tasks}-single", tasks, SINGLE_BUDGETS, temperature=1.0, samples=SAMPLES)
    measured = laboratory.evaluate(one)
    tried = [Trial(SINGLE, f"{SINGLE}, budget {b}", measured, b) for b in SINGLE_BUDGETS]
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
        tried.append(Trial(HELD, label, laboratory.evaluate(held), least + ROOM_TO_END))
    return tried


def _measure_searches(laboratory: Laboratory, tasks: str) -> list[Trial]:
    return [
        Trial(
            search.family,
            search.label,
            laboratory.evaluate(
                EvalRun(
                    f"search-{tasks}-{_make_file_name(search)}",
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


def _make_file_name(search: Search) -> str:
    numbers = [str(v) for k, v in search.options.items() if k in {"n", "width", "expand"}]
    return "-".join([search.family.replace(" ", "-"), *numbers])


def _list_families(searches: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(search.family for search in searches))


def _format_table(singles: Sequence[Trial], searches: Sequence[Trial]) -> str:
    head = ["", "all tokens", "accuracy", "cut", "one thought for as many", "difference (points)"]
    rows = [_format_cells(single) + [NOTHING] * 2 for single in singles]
    for search in searches:
        other = find_rival(search, singles)
        gain = str(search.compute_gain_over(other))
        rows.append([*_format_cells(search), f"{other.point.accuracy.share * 100:.1f} %", gain])
    return format_table(head, rows)


def _format_cells(tried: Trial) -> list[str]:
    point = tried.point
    cut = f"{point.num_cut}/{point.replies}"
    return [tried.label, format_count(tried.tokens), str(point.accuracy), cut]
