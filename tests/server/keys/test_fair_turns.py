"""Keys that share a thread: a key with much work does not delay the others."""

import asyncio

from tests.server.conftest import chat_body
from tests.server.keys.conftest import ALICE, BOB, ServeKeys, open_client

NUM_LONG = 24
LONG_TEXT = "let's think " * 10_000
CHAT, TOKENIZE = "/v1/chat/completions", "/tokenize"


async def test_a_caller_waits_for_few_of_anothers_long_texts(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    async with open_client(served, ALICE) as alice, open_client(served, BOB) as bob:
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
    # The first, the two that had begun then, and those that ended during Bob's request; when run
    # alone, 4.
    assert num_before < NUM_LONG / 2


async def test_one_caller_alone_is_served_as_before(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    async with open_client(served, ALICE) as alice:
        answers = await asyncio.gather(*(alice.post(CHAT, json=chat_body()) for _ in range(20)))
    assert all(answer.status_code == 200 for answer in answers)
