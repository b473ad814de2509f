"""A client that loses its connection any number of times misses nothing and reads nothing twice."""

import asyncio
from contextlib import aclosing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from server.stored_responses.event_log import EventLog, join_frames, split_frames
from server.stored_responses.redis_records import Batch
from tests.examples import examples
from tests.server.api.openai.responses.background.servers import Json, body, open_pair

# A reader's lives: at which of the two servers, and how many events it reads before it is cut off.
LIVES = st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=6)


@settings(max_examples=examples(60))
@given(thought=st.text("abc ", max_size=30), answer=st.text("xyz ", max_size=60), lives=LIVES)
def test_broken_streams_add_up_to_the_unbroken_one(
    store_port: int | None, thought: str, answer: str, lives: list[tuple[bool, int]]
) -> None:
    async def check() -> None:
        async with open_pair(store_port, f"{thought}</think>{answer}") as pair:
            begun = await pair.one.create()
            seen: list[Json] = []
            for is_other, num_events in lives:
                server = pair.other if is_other else pair.one
                after = seen[-1]["sequence_number"] if seen else None
                async with aclosing(server.stream(begun.id, after)) as events:
                    async for event in events:
                        if num_events == 0:
                            break
                        seen.append(event)
                        num_events -= 1
            last = seen[-1]["sequence_number"] if seen else None
            seen += await pair.other.read(begun.id, last)
            whole = await pair.one.read(begun.id)
            assert seen == whole
            assert whole[-1]["response"] == (await pair.one.poll(begun.id)).to_dict(mode="json")

    asyncio.run(check())


async def test_a_stream_from_the_start_can_be_resumed_where_it_broke(serve_pair: Any) -> None:
    pair = await serve_pair()
    stream = await pair.one.client.responses.create(stream=True, **body())
    seen = []
    async for event in stream:
        seen.append(event.to_dict(mode="json", warnings=False))
        if len(seen) == 7:
            break
    await stream.close()
    response_id = seen[0]["response"]["id"]
    seen += await pair.other.read(response_id, seen[-1]["sequence_number"])
    assert seen == await pair.one.read(response_id)


async def test_a_reader_who_has_seen_more_than_there_is_gets_the_end(serve_pair: Any) -> None:
    pair = await serve_pair()
    begun = await pair.one.create()
    *_, last = await pair.one.read(begun.id)
    assert await pair.other.read(begun.id, last["sequence_number"]) == []
    assert await pair.other.read(begun.id, last["sequence_number"] + 10) == [last]


@given(st.lists(st.integers(1, 5), min_size=1), st.data())
def test_a_log_gives_each_reader_the_rest(sizes: list[int], data: st.DataObject) -> None:
    frames = [f"event: {n}\ndata: {n}\n\n".encode() for n in range(sum(sizes))]
    after = data.draw(st.integers(-1, len(frames) - 1))

    async def check() -> None:
        log = EventLog(shows_at_once=True)
        reading = asyncio.create_task(read(log))
        place = 0
        for size in sizes:
            for frame in frames[place : place + size]:
                log.append(frame)
            place += size
            await asyncio.sleep(0)
        log.end()
        assert split_frames(await reading) == frames[after + 1 :]

    async def read(log: EventLog) -> bytes:
        return b"".join([joined async for joined in log.read(after)])

    asyncio.run(check())


@given(st.integers(0, 50), st.integers(1, 20), st.integers(-1, 80))
def test_a_batch_gives_what_follows_a_number(first: int, size: int, after: int) -> None:
    frames = [f"data: {n}\n\n".encode() for n in range(first, first + size)]
    batch = Batch(split_frames(join_frames(frames)), first + size - 1)
    expected = [f"data: {n}\n\n".encode() for n in range(first, first + size) if n > after]
    assert list(batch.after(after)) == expected
