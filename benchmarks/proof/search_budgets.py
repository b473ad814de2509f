"""Every strategy with its defaults against one thought at the same budget and reply limit.

Law 12 says that a search never answers worse than one thought would. The chains are drawn from a
seed, so they are in no exam. Each is sent once for each strategy and setting, at temperature 1. A
search that the server refuses counts as a wrong answer. Uses the openai client, as any user could.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from openai import AsyncOpenAI, BadRequestError, OpenAIError

from benchmarks.proof.claims import Claim, Verdict
from benchmarks.proof.errors import FailedError
from benchmarks.proof.evaluation import CONCURRENCY
from benchmarks.proof.experiment import Finding
from benchmarks.proof.fresh_chains import FreshChain, draw_chains
from benchmarks.proof.intervals import compute_paired_difference, compute_wilson_interval
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.servers import say
from benchmarks.proof.tables import format_count, format_table

MODEL = "thinker"
SEED = 18
NUM_TASKS = 100
SINGLE = "one thought"
Strategy = Mapping[str, Any]
STRATEGIES: Mapping[str, Strategy | None] = {
    SINGLE: None,
    "self_consistency, n = 5": {"name": "self_consistency", "n": 5},
    "self_consistency": {"name": "self_consistency"},
    "best_of": {"name": "best_of"},
    "reward": {"name": "reward"},
    "beam by confidence": {"name": "beam", "score_by": "confidence"},
    "beam by reward": {"name": "beam"},
    "mcts by confidence": {"name": "mcts", "score_by": "confidence"},
    "mcts by reward": {"name": "mcts"},
}


@dataclass(frozen=True, slots=True)
class Setting:
    """Budget and limit of a reply, in tokens; None: the context limits it."""

    budget: int
    max_completion_tokens: int | None = None

    def __str__(self) -> str:
        limit = self.max_completion_tokens
        return str(self.budget) if limit is None else f"{self.budget}, reply {limit}"


SETTINGS = (
    *(Setting(budget) for budget in (64, 96, 128, 192, 256, 480, 1000)),
    Setting(480, 100),
    Setting(480, 200),
    Setting(480, 400),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """Reply to one task; `tokens` are all that were generated, None if it was refused."""

    task: str
    is_right: bool
    tokens: int | None
    branches: int | None


def run(laboratory: Laboratory) -> Finding:
    """Run the experiment that the module describes."""
    laboratory.servers.serve_scorer()
    folder, url = laboratory.make_folder(MODEL), laboratory.servers.serve(MODEL)
    tasks = draw_chains(SEED, NUM_TASKS)[: laboratory.limit]
    found: dict[str, list[list[Trial]]] = {}
    for name, strategy in STRATEGIES.items():
        path = folder / f"search-budgets-{name.replace(' ', '-').replace(',', '')}.json"
        kept = _read_kept(path, tasks)
        if kept is None:
            say(f"search_budgets: {name}, {len(tasks)} fresh chains at {len(SETTINGS)} settings")
            kept = _run_all(url, tasks, strategy)
            path.write_text(json.dumps([[asdict(trial) for trial in row] for row in kept]))
        found[name] = kept
    head = ["budget", *found]
    rows = [
        [str(setting), *(format_cell(trials[place]) for trials in found.values())]
        for place, setting in enumerate(SETTINGS)
    ]
    note = (
        f"{len(tasks)} fresh chains modulo 100 (seed {SEED}) at temperature 1: the share that was "
        "right (95 %), then the mean number of all generated tokens. “Reply” is "
        "`max_completion_tokens`."
    )
    searches = [name for name in found if name != SINGLE]
    claims = [make_claim(name, found[name], found[SINGLE]) for name in searches]
    return Finding(f"{note}\n\n{format_table(head, rows)}", claims)


def make_claim(
    name: str, searches: Sequence[Sequence[Trial]], singles: Sequence[Sequence[Trial]]
) -> Claim:
    """Return the claim that a strategy is at no setting certainly worse than one thought."""
    differences = [
        compute_paired_difference(_to_shares(search), _to_shares(single))
        for search, single in zip(searches, singles, strict=True)
    ]
    place, worst = min(enumerate(differences), key=lambda pair: pair[1].value)
    text = f"{name} is never worse than one thought; its worst setting is {SETTINGS[place]}"
    holds = all(difference.high >= 0 for difference in differences)
    return Claim(text, f"{worst} points", Verdict.from_bool(holds))


def format_cell(trials: Sequence[Trial]) -> str:
    """Return accuracy, its interval and the mean number of tokens."""
    right = sum(trial.is_right for trial in trials)
    low, high = compute_wilson_interval(right, len(trials))
    tokens = [trial.tokens for trial in trials if trial.tokens is not None]
    share = f"{right / len(trials) * 100:.1f} % ({low * 100:.1f}–{high * 100:.1f})"
    return f"{share}, {format_count(fmean(tokens))}" if tokens else "refused"


def _read_kept(path: Path, tasks: Sequence[FreshChain]) -> list[list[Trial]] | None:
    """Return the trials of these tasks that an earlier run has kept at `path`, or None."""
    if not path.exists():
        return None
    rows = [[Trial(**trial) for trial in row][: len(tasks)] for row in json.loads(path.read_text())]
    wanted = [task.id for task in tasks]
    is_whole = all([trial.task for trial in row] == wanted for row in rows)
    return rows if is_whole and len(rows) == len(SETTINGS) else None


def _to_shares(trials: Sequence[Trial]) -> dict[str, float]:
    return {trial.task: float(trial.is_right) for trial in trials}


def _run_all(url: str, tasks: Sequence[FreshChain], strategy: Strategy | None) -> list[list[Trial]]:
    try:
        return asyncio.run(_collect(url, tasks, strategy))
    except* OpenAIError as errors:
        raise FailedError(f"search_budgets: {errors.exceptions[0]}") from errors


async def _collect(
    url: str, tasks: Sequence[FreshChain], strategy: Strategy | None
) -> list[list[Trial]]:
    slots = asyncio.Semaphore(CONCURRENCY)
    async with (
        AsyncOpenAI(base_url=url, api_key="none", max_retries=5, timeout=1200) as client,
        asyncio.TaskGroup() as group,
    ):
        running = [
            [
                group.create_task(_try(client, slots, task, seed, setting, strategy))
                for seed, task in enumerate(tasks)
            ]
            for setting in SETTINGS
        ]
    return [[trial.result() for trial in trials] for trials in running]


async def _try(
    client: AsyncOpenAI,
    slots: asyncio.Semaphore,
    task: FreshChain,
    seed: int,
    setting: Setting,
    strategy: Strategy | None,
) -> Trial:
    extra: dict[str, Any] = {"max_thinking_tokens": setting.budget}
    if strategy is not None:
        extra["thinking_options"] = {"strategy": strategy}
    if setting.max_completion_tokens is not None:
        extra["max_completion_tokens"] = setting.max_completion_tokens
    async with slots:
        try:
            completion = await client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": task.question}],
                temperature=1,
                seed=seed,
                extra_body=extra,
            )
        except BadRequestError:
            return Trial(task.id, is_right=False, tokens=None, branches=None)
    choice, usage = completion.choices[0], completion.usage
    assert usage is not None  # our server always counts
    receipt = (choice.model_extra or {}).get("thinking") or {}
    is_right = (choice.message.content or "").strip() == task.answer
    return Trial(task.id, is_right, usage.completion_tokens, receipt.get("branches"))
