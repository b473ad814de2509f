"""kill -9 of the writer alone, ten times at random moments: what it called durable is there."""

import random
import subprocess
import sys

from tests.server.ledger.conftest import read_rows

NUM_KILLS = 10
STEP = 1_000_000  # more than one process writes


def write_and_kill(url: str, first: int, num_lines: int) -> set[int]:
    """Kill a writer after it has printed `num_lines`; return all that it printed."""
    command = [sys.executable, "-m", "tests.server.ledger.endless_writer", url, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(num_lines)]
        process.kill()
        lines += process.stdout.readlines()
    # The last line may be cut off.
    return {int(line) for line in lines if line.endswith("\n")}


def test_what_was_called_durable_is_there_once(url: str) -> None:
    chance, durable = random.Random(11), set[int]()
    for number in range(NUM_KILLS):
        durable |= write_and_kill(url, number * STEP, chance.randint(1, 2000))
    written = [row.thinking_tokens for row in read_rows(url)]
    assert len(written) == len(set(written))
    assert durable <= set(written)
    assert len(durable) > NUM_KILLS
