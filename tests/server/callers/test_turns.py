"""Turns: whoever asks for much waits behind who asks for little."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.callers.turns import Turns


class Bench:
    """Work that ends when it is told to. `begun` and `running` have the names of the work."""

    def __init__(self, width: int) -> None:
        self.turns = Turns(width)
        self.begun: list[str] = []
        self.running: dict[str, asyncio.Future[str]] = {}

    def ask(self, caller: str, name: str) -> asyncio.Task[str]:
        return asyncio.create_task(self.turns.take(caller, self._begins(name)))

    def _begins(self, name: str) -> Callable[[], asyncio.Future[str]]:
        def begin() -> asyncio.Future[str]:
            self.begun.append(name)
            self.running[name] = asyncio.get_running_loop().create_future()
            return self.running[name]

        return begin

    async def end(self, name: str) -> None:
        self.running.pop(name).set_result(name)
        await settled()

    async def end_all(self) -> None:
        while self.running:
            await self.end(next(iter(self.running)))


async def settled() -> None:
    """All that can go on has gone on: no clock, and a bound on the steps."""
    for _ in range(20):
        await asyncio.sleep(0)


async def ask_all(bench: Bench, asked: list[str]) -> list[asyncio.Task[str]]:
    tasks = [bench.ask(caller, f"{caller}{number}") for number, caller in enumerate(asked)]
    await settled()
    return tasks


@given(width=st.integers(1, 3), asked=st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_all_is_done_once_and_never_more_than_the_width_at_a_time(
    width: int, asked: list[str]
) -> None:
    async def law() -> None:
        bench = Bench(width)
        tasks = await ask_all(bench, asked)
        while bench.running:
            assert len(bench.running) <= width
            await bench.end(next(iter(bench.running)))
        assert sorted(await asyncio.gather(*tasks)) == sorted(bench.begun)
        assert len(bench.begun) == len(asked)

    asyncio.run(law())


@given(
    width=st.integers(1, 3),
    num_others=st.integers(1, 4),
    num_asked=st.integers(1, 12),
)
def test_a_newcomer_waits_for_a_width_of_each_other_caller_at_most(
    width: int, num_others: int, num_asked: int
) -> None:
    async def law() -> None:
        bench = Bench(width)
        others = [f"other{number}-" for number in range(num_others)]
        tasks = await ask_all(bench, others * num_asked)
        before = len(bench.begun)
        tasks.append(bench.ask("newcomer", "newcomer"))
        await settled()
        while "newcomer" not in bench.begun:
            await bench.end(next(iter(bench.running)))
        assert len(bench.begun) - before - 1 <= width * num_others
        await bench.end_all()
        await asyncio.gather(*tasks)

    asyncio.run(law())


async def test_who_leaves_while_waiting_gives_up_its_place() -> None:
    bench = Bench(1)
    first, second, third = await ask_all(bench, ["a", "b", "a"])
    second.cancel()
    await settled()
    await bench.end("a0")
    assert bench.begun == ["a0", "a2"]
    await bench.end("a2")
    assert (await first, await third) == ("a0", "a2")


async def test_who_leaves_at_its_turn_keeps_it_until_the_work_has_ended() -> None:
    bench = Bench(1)
    first, second = await ask_all(bench, ["a", "b"])
    first.cancel()
    await settled()
    assert first.cancelled()
    assert bench.begun == ["a0"]
    await bench.end("a0")
    assert bench.begun == ["a0", "b1"]
    await bench.end("b1")
    assert await second == "b1"


async def test_work_that_fails_or_cannot_begin_ends_the_turn() -> None:
    bench = Bench(1)
    first, second = await ask_all(bench, ["a", "a"])
    bench.running.pop("a0").set_exception(ValueError("broken"))
    await settled()
    assert bench.begun == ["a0", "a1"]
    await bench.end("a1")
    with pytest.raises(ValueError, match="broken"):
        await first
    assert await second == "a1"

    def refuse() -> asyncio.Future[str]:
        raise RuntimeError("closed")

    with pytest.raises(RuntimeError, match="closed"):
        await bench.turns.take("a", refuse)
    last = bench.ask("a", "last")
    await settled()
    await bench.end("last")
    assert await last == "last"
