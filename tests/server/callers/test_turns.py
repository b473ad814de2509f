"""Fair turns: callers with much work wait behind callers with little."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.callers.turns import Turns


class ControlledWork:
    """Work that the test ends explicitly. `begun` and `running` contain names of work."""

    def __init__(self, width: int) -> None:
        self.turns = Turns(width)
        self.begun: list[str] = []
        self.running: dict[str, asyncio.Future[str]] = {}

    def submit(self, caller: str, name: str) -> asyncio.Task[str]:
        return asyncio.create_task(self.turns.take(caller, self._make_begin(name)))

    def _make_begin(self, name: str) -> Callable[[], asyncio.Future[str]]:
        def begin() -> asyncio.Future[str]:
            self.begun.append(name)
            self.running[name] = asyncio.get_running_loop().create_future()
            return self.running[name]

        return begin

    async def end(self, name: str) -> None:
        self.running.pop(name).set_result(name)
        await settle()

    async def end_all(self) -> None:
        while self.running:
            await self.end(next(iter(self.running)))


async def settle() -> None:
    """Let all tasks run as far as they can: no clock, a bounded number of steps."""
    for _ in range(20):
        await asyncio.sleep(0)


async def submit_all(work: ControlledWork, callers: list[str]) -> list[asyncio.Task[str]]:
    tasks = [work.submit(caller, f"{caller}{number}") for number, caller in enumerate(callers)]
    await settle()
    return tasks


@given(width=st.integers(1, 3), callers=st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_all_work_runs_once_and_never_more_than_the_width_at_a_time(
    width: int, callers: list[str]
) -> None:
    async def check() -> None:
        work = ControlledWork(width)
        tasks = await submit_all(work, callers)
        while work.running:
            assert len(work.running) <= width
            await work.end(next(iter(work.running)))
        assert sorted(await asyncio.gather(*tasks)) == sorted(work.begun)
        assert len(work.begun) == len(callers)

    asyncio.run(check())


@given(
    width=st.integers(1, 3),
    num_others=st.integers(1, 4),
    num_submitted=st.integers(1, 12),
)
def test_a_newcomer_waits_for_a_width_of_each_other_caller_at_most(
    width: int, num_others: int, num_submitted: int
) -> None:
    async def check() -> None:
        work = ControlledWork(width)
        others = [f"other{number}-" for number in range(num_others)]
        tasks = await submit_all(work, others * num_submitted)
        before = len(work.begun)
        tasks.append(work.submit("newcomer", "newcomer"))
        await settle()
        while "newcomer" not in work.begun:
            await work.end(next(iter(work.running)))
        assert len(work.begun) - before - 1 <= width * num_others
        await work.end_all()
        await asyncio.gather(*tasks)

    asyncio.run(check())


async def test_a_caller_cancelled_while_waiting_gives_up_its_place() -> None:
    work = ControlledWork(1)
    first, second, third = await submit_all(work, ["a", "b", "a"])
    second.cancel()
    await settle()
    await work.end("a0")
    assert work.begun == ["a0", "a2"]
    await work.end("a2")
    assert (await first, await third) == ("a0", "a2")


async def test_a_caller_cancelled_in_its_turn_keeps_it_until_the_work_ends() -> None:
    work = ControlledWork(1)
    first, second = await submit_all(work, ["a", "b"])
    first.cancel()
    await settle()
    assert first.cancelled()
    assert work.begun == ["a0"]
    await work.end("a0")
    assert work.begun == ["a0", "b1"]
    await work.end("b1")
    assert await second == "b1"


async def test_failing_work_ends_the_turn() -> None:
    work = ControlledWork(1)
    first, second = await submit_all(work, ["a", "a"])
    work.running.pop("a0").set_exception(ValueError("broken"))
    await settle()
    assert work.begun == ["a0", "a1"]
    await work.end("a1")
    with pytest.raises(ValueError, match="broken"):
        await first
    assert await second == "a1"

    def refuse() -> asyncio.Future[str]:
        raise RuntimeError("closed")

    with pytest.raises(RuntimeError, match="closed"):
        await work.turns.take("a", refuse)
    last = work.submit("a", "last")
    await settle()
    await work.end("last")
    assert await last == "last"
