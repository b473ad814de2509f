"""Where keys have to share a thread, one that asks for much does not hold up the others."""

import asyncio

from tests.server.conftest import chat_body
from tests.server.keys.conftest import ALICE, BOB, ServeKeys, visitor

NUM_LONG = 24
LONG_TEXT = "let's think " * 10_000
CHAT, TOKENIZE = "/v1/chat/completions", "/tokenize"


async def test_a_caller_waits_for_few_of_anothers_long_texts(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    async with visitor(served, ALICE) as alice, visitor(served, BOB) as bob:
        tasks = [
            asyncio.create_task(alice.post(TOKENIZE, json={"prompt": LONG_TEXT}))
            for _ in range(NUM_LONG)
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        answer = await bob.post(TOKENIZE, json={"prompt": "hi"})
        num_before = sum(task.done() for task in tasks)
        assert answer.status_code == 200, answer.text
        others = await asyncio.gather(*tasks)
    assert all(other.status_code == 200 for other in others)
    # The first, the two that had begun then, and what ended beside his request; alone 4.
    assert num_before < NUM_LONG / 2


async def test_one_caller_alone_is_served_as_before(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    async with visitor(served, ALICE) as alice:
        answers = await asyncio.gather(*(alice.post(CHAT, json=chat_body()) for _ in range(20)))
    assert all(answer.status_code == 200 for answer in answers)
