"""Second looks: how many answers "Wait," repairs, and how many it spoils.

Each task is sent at temperature 1 with several seeds, then once more with the same seed and a
minimum of thought one token above what was used: the model writes the same thought, its end is
replaced by "Wait,", and the next end counts. As a control, tasks that were answered wrongly
are sent again with another seed. Uses the openai client, as any user could.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from openai import AsyncOpenAI, OpenAIError

from benchmarks.proof.claims import Claim, Verdict, format_percent
from benchmarks.proof.errors import FailedError
from benchmarks.proof.evaluation import CONCURRENCY, find_task_file
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import compute_paired_difference, compute_wilson_interval
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.servers import say
from benchmarks.proof.tables import format_table

MODEL = "thinker"
TASKS = {"chains-mod100": "modulo 100", "chains-mod10": "modulo 10"}
SAMPLES = 10
OTHER_SEEDS = 1_000_000  # added to a seed
BUDGET = 400
WAIT = "Wait,"


@dataclass(frozen=True, slots=True)
class Task:
    """Line of a task file."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply with its thought; `used` tokens were hidden."""

    is_right: bool
    thought: str
    used: int


@dataclass(frozen=True, slots=True)
class SecondLook:
    """Replies to a task and seed without and with "Wait,"; `anew`: with another seed, if sent."""

    task: str
    seed: int
    first: Reply
    second: Reply
    anew: Reply | None

    @property
    def is_fair(self) -> bool:
        """True if the second thought continues the first with "Wait," and nothing else changed."""
        thought = self.first.thought.rstrip("\n")
        added = self.second.thought.removeprefix(thought)
        return self.second.thought.startswith(thought) and added.lstrip("\n").startswith(WAIT)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over fair second looks."""

    num_wrong: int
    num_repaired: int
    num_right: int
    num_spoilt: int
    num_right_anew: int
    num_unfair: int


def count_looks(looks: Sequence[SecondLook]) -> Tally:
    """Count `looks`."""
    fair = [look for look in looks if look.is_fair]
    wrong = [look for look in fair if not look.first.is_right]
    right = [look for look in fair if look.first.is_right]
    return Tally(
        num_wrong=len(wrong),
        num_repaired=sum(look.second.is_right for look in wrong),
        num_right=len(right),
        num_spoilt=sum(not look.second.is_right for look in right),
        num_right_anew=sum(look.anew is not None and look.anew.is_right for look in wrong),
        num_unfair=len(looks) - len(fair),
    )


def run(laboratory: Laboratory) -> Finding:
    """Run the experiment that the module describes."""
    folder, url = laboratory.make_folder(MODEL), laboratory.servers.serve(MODEL)
    rows, notes, claims = [], [], []
    for name, words in TASKS.items():
        tasks = read_tasks(find_task_file(name))[: laboratory.limit]
        say(f"wait: {name}, {SAMPLES} seeds each")
        looks = _run_all(url, tasks)
        lines = (json.dumps(asdict(look)) + "\n" for look in looks)
        (folder / f"wait-{name}.jsonl").write_text("".join(lines))
        counts = count_looks(looks)
        rows += _format_rows(words, counts)
        claims += [make_repair_claim(words, counts), make_gain_claim(words, looks)]
        notes.append(_format_note(words, looks, counts))
    head = ["", "of", "became", "share (95 %)"]
    return Finding("\n\n".join([format_table(head, rows), *notes]), claims)


def read_tasks(path: Path) -> list[Task]:
    """Return the tasks of one of our files."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Task(line["id"], line["question"], str(line["answer"])) for line in lines]


def assign_seeds(tasks: Sequence[Task], samples: int) -> list[tuple[Task, int]]:
    """Return each task `samples` times, all with different seeds: equal ones draw equal noise."""
    return [
        (task, sample * len(tasks) + index)
        for sample in range(samples)
        for index, task in enumerate(tasks)
    ]


def make_repair_claim(words: str, counts: Tally) -> Claim:
    """Return the claim that some wrong answers become right."""
    measured = f"{counts.num_repaired} of {counts.num_wrong}"
    text = f"{words.capitalize()}, “Wait,” repairs a share of the wrong answers"
    return Claim(text, measured, Verdict.from_bool(counts.num_repaired > 0))


def make_gain_claim(words: str, looks: Sequence[SecondLook]) -> Claim:
    """Return the claim that accuracy is higher with "Wait," than without."""
    gain = compute_paired_difference(
        compute_right_shares([(look.task, look.second) for look in looks]),
        compute_right_shares([(look.task, look.first) for look in looks]),
    )
    text = f"{words.capitalize()}, “Wait,” after every thought makes more right than wrong"
    return Claim(text, f"{gain} points of accuracy", Verdict.from_bool(gain.is_gain))


def compute_right_shares(replies: Sequence[tuple[str, Reply]]) -> dict[str, float]:
    """Return the share of each task's replies that is right."""
    by_task: dict[str, list[bool]] = {}
    for task, reply in replies:
        by_task.setdefault(task, []).append(reply.is_right)
    return {task: sum(found) / len(found) for task, found in by_task.items()}


def _run_all(url: str, tasks: Sequence[Task]) -> list[SecondLook]:
    try:
        return asyncio.run(_collect_looks(url, tasks))
    except* OpenAIError as errors:
        raise FailedError(f"wait: {errors.exceptions[0]}") from errors


async def _collect_looks(url: str, tasks: Sequence[Task]) -> list[SecondLook]:
    slots = asyncio.Semaphore(CONCURRENCY)
    async with (
        AsyncOpenAI(base_url=url, api_key="none", max_retries=5) as client,
        asyncio.TaskGroup() as group,
    ):
        looks = [
            group.create_task(_take_look(client, slots, task, seed))
            for task, seed in assign_seeds(tasks, SAMPLES)
        ]
    return [look.result() for look in looks]


async def _take_look(
    client: AsyncOpenAI, slots: asyncio.Semaphore, task: Task, seed: int
) -> SecondLook:
    async with slots:
        first = await _send(client, task, seed)
        second = await _send(client, task, seed, first.used + 1)
        anew = None if first.is_right else await _send(client, task, seed + OTHER_SEEDS)
    return SecondLook(task.id, seed, first, second, anew)


async def _send(client: AsyncOpenAI, task: Task, seed: int, min_tokens: int = 0) -> Reply:
    completion = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": task.question}],
        temperature=1,
        seed=seed,
        extra_body={
            "max_thinking_tokens": BUDGET,
            "min_thinking_tokens": min_tokens,
            "include_reasoning": True,
        },
    )
    message, usage = completion.choices[0].message, completion.usage
    assert usage is not None  # our server always counts
    assert usage.completion_tokens_details is not None
    thought = (message.model_extra or {}).get("reasoning") or ""
    used = usage.completion_tokens_details.reasoning_tokens or 0
    return Reply((message.content or "").strip() == task.answer, thought, used)


def _format_rows(words: str, counts: Tally) -> list[list[str]]:
    return [
        _format_row(
            f"{words}: wrong, repaired after “Wait,”", counts.num_repaired, counts.num_wrong
        ),
        _format_row(f"{words}: right, spoilt after “Wait,”", counts.num_spoilt, counts.num_right),
        _format_row(
            f"{words}: wrong, right with another seed", counts.num_right_anew, counts.num_wrong
        ),
    ]


def _format_row(name: str, became: int, of: int) -> list[str]:
    if not of:
        return [name, "0", "0", "–"]
    low, high = compute_wilson_interval(became, of)
    return [
        name,
        str(of),
        str(became),
        f"{format_percent(became / of)} ({low * 100:.1f}–{high * 100:.1f})",
    ]


def _format_note(words: str, looks: Sequence[SecondLook], counts: Tally) -> str:
    num = len(looks)
    before, after = (sum(r.is_right for r in side) / num for side in _split_sides(looks))
    used, used_after = (sum(r.used for r in side) / num for side in _split_sides(looks))
    return (
        f"Chains {words}, {num} replies: accuracy {format_percent(before)} for {used:.1f} tokens "
        f"of thought, with “Wait,” {format_percent(after)} for {used_after:.1f}. "
        f"{counts.num_unfair} second looks did not begin with the first one's thought, and are in "
        "the accuracies only."
    )


def _split_sides(looks: Sequence[SecondLook]) -> tuple[list[Reply], list[Reply]]:
    return [look.first for look in looks], [look.second for look in looks]
