"""Does "Wait," repair wrong answers, and what does it spoil?

Each task is asked at temperature 1 with several seeds. Then once more with the same seed
and a minimum of thought one token above what was used: the model writes the same thought,
its end is answered with "Wait,", and the next end counts. As a control, those that were
wrong are asked anew with another seed. Uses the openai client, as any user could.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from openai import AsyncOpenAI, OpenAIError

from benchmarks.proof.claims import Claim, Verdict, percent
from benchmarks.proof.errors import FailedError
from benchmarks.proof.evaluation import CONCURRENCY, task_file
from benchmarks.proof.experiment import Finding
from benchmarks.proof.intervals import paired_difference, wilson
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.servers import say
from benchmarks.proof.tables import table

MODEL = "thinker"
TASKS = {"chains-mod100": "modulo 100", "chains-mod10": "modulo 10"}
SAMPLES = 10
OTHER_SEEDS = 1_000_000  # added to a seed
BUDGET = 400
WAIT = "Wait,"


@dataclass(frozen=True, slots=True)
class Task:
    """A line of a task file."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Reply:
    """`used` tokens were hidden."""

    is_right: bool
    thought: str
    used: int


@dataclass(frozen=True, slots=True)
class SecondLook:
    """The same task and seed without and with "Wait,"; `anew`: with another seed, if asked."""

    task: str
    seed: int
    first: Reply
    second: Reply
    anew: Reply | None

    @property
    def is_fair(self) -> bool:
        """Whether the second thought is the first one, waited upon, and nothing else changed."""
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


def tally(looks: Sequence[SecondLook]) -> Tally:
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
    """See the module."""
    folder, url = laboratory.folder(MODEL), laboratory.servers.serve(MODEL)
    rows, notes, claims = [], [], []
    for name, words in TASKS.items():
        tasks = read_tasks(task_file(name))[: laboratory.limit]
        say(f"wait: {name}, {SAMPLES} seeds each")
        looks = _look_at_all(url, tasks)
        lines = (json.dumps(asdict(look)) + "\n" for look in looks)
        (folder / f"wait-{name}.jsonl").write_text("".join(lines))
        counts = tally(looks)
        rows += _rows(words, counts)
        claims += [claim_of_repair(words, counts), claim_of_gain(words, looks)]
        notes.append(_note(words, looks, counts))
    head = ["", "of", "became", "share (95 %)"]
    return Finding("\n\n".join([table(head, rows), *notes]), claims)


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file of ours."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Task(line["id"], line["question"], str(line["answer"])) for line in lines]


def seeded(tasks: Sequence[Task], samples: int) -> list[tuple[Task, int]]:
    """Each task so many times, and no two with the same seed, which would draw the same noise."""
    return [
        (task, sample * len(tasks) + index)
        for sample in range(samples)
        for index, task in enumerate(tasks)
    ]


def claim_of_repair(words: str, counts: Tally) -> Claim:
    """That some wrong answers become right."""
    measured = f"{counts.num_repaired} of {counts.num_wrong}"
    text = f"{words.capitalize()}, “Wait,” repairs a share of the wrong answers"
    return Claim(text, measured, Verdict.of(counts.num_repaired > 0))


def claim_of_gain(words: str, looks: Sequence[SecondLook]) -> Claim:
    """That accuracy is higher with a "Wait," than without."""
    gain = paired_difference(
        shares_right([(look.task, look.second) for look in looks]),
        shares_right([(look.task, look.first) for look in looks]),
    )
    text = f"{words.capitalize()}, “Wait,” after every thought makes more right than wrong"
    return Claim(text, f"{gain} points of accuracy", Verdict.of(gain.is_gain))


def shares_right(replies: Sequence[tuple[str, Reply]]) -> dict[str, float]:
    """Of each task's replies, the share that is right."""
    by_task: dict[str, list[bool]] = {}
    for task, reply in replies:
        by_task.setdefault(task, []).append(reply.is_right)
    return {task: sum(found) / len(found) for task, found in by_task.items()}


def _look_at_all(url: str, tasks: Sequence[Task]) -> list[SecondLook]:
    try:
        return asyncio.run(_looks(url, tasks))
    except* OpenAIError as errors:
        raise FailedError(f"wait: {errors.exceptions[0]}") from errors


async def _looks(url: str, tasks: Sequence[Task]) -> list[SecondLook]:
    room = asyncio.Semaphore(CONCURRENCY)
    async with (
        AsyncOpenAI(base_url=url, api_key="none", max_retries=5) as client,
        asyncio.TaskGroup() as group,
    ):
        asked = [
            group.create_task(_look(client, room, task, seed))
            for task, seed in seeded(tasks, SAMPLES)
        ]
    return [one.result() for one in asked]


async def _look(client: AsyncOpenAI, room: asyncio.Semaphore, task: Task, seed: int) -> SecondLook:
    async with room:
        first = await _ask(client, task, seed)
        second = await _ask(client, task, seed, first.used + 1)
        anew = None if first.is_right else await _ask(client, task, seed + OTHER_SEEDS)
    return SecondLook(task.id, seed, first, second, anew)


async def _ask(client: AsyncOpenAI, task: Task, seed: int, min_tokens: int = 0) -> Reply:
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


def _rows(words: str, counts: Tally) -> list[list[str]]:
    return [
        _row(f"{words}: wrong, repaired after “Wait,”", counts.num_repaired, counts.num_wrong),
        _row(f"{words}: right, spoilt after “Wait,”", counts.num_spoilt, counts.num_right),
        _row(f"{words}: wrong, right with another seed", counts.num_right_anew, counts.num_wrong),
    ]


def _row(name: str, became: int, of: int) -> list[str]:
    if not of:
        return [name, "0", "0", "–"]
    low, high = wilson(became, of)
    return [
        name,
        str(of),
        str(became),
        f"{percent(became / of)} ({low * 100:.1f}–{high * 100:.1f})",
    ]


def _note(words: str, looks: Sequence[SecondLook], counts: Tally) -> str:
    num = len(looks)
    before, after = (sum(r.is_right for r in side) / num for side in _sides(looks))
    used, used_after = (sum(r.used for r in side) / num for side in _sides(looks))
    return (
        f"Chains {words}, {num} replies: accuracy {percent(before)} for {used:.1f} tokens of "
        f"thought, with “Wait,” {percent(after)} for {used_after:.1f}. {counts.num_unfair} second "
        "looks did not begin with the first one's thought, and are in the accuracies only."
    )


def _sides(looks: Sequence[SecondLook]) -> tuple[list[Reply], list[Reply]]:
    return [look.first for look in looks], [look.second for look in looks]
