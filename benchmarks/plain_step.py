"""Microseconds of a step of the CPU's logits processors where requests use no further option.

Prints JSON: by kind of rows and their number. `benchmarks.earlier` runs this file on two trees, so
it names what only one of them has in one place, and takes everything else from the tree that it
runs on.
"""

import json
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

import torch

from benchmarks.sampler import Step, make_our_step, time_step

ROWS = (1, 32, 256)
SECONDS = 0.7
LENGTH = 100  # tokens that each row has thought
# In the order in which they run, beside the one that holds budgets.
OTHERS = {
    "thinking.vllm_plugin.phase_sampling": "PhaseSamplingLogitsProcessor",
    "thinking.vllm_plugin.nucleus": "NucleusLogitsProcessor",
}


def make_chain(num_rows: int, *, has_budget: bool) -> Step:
    """Return a step of all processors over a batch whose rows have a budget, or no plan."""
    first, sampler = make_our_step("thinking", num_rows, LENGTH)
    logits = torch.zeros(num_rows, 8)  # the others do not read it
    others: list[Any] = [
        getattr(import_module(module), name)(cast("Any", None), torch.device("cpu"), False)
        for module, name in OTHERS.items()
        if find_spec(module)
    ]
    if not has_budget:
        sampler.update({})

    def step() -> None:
        if has_budget:
            first()
        else:
            sampler.apply(logits)
        for other in others:
            other.update_state(None)
            other.apply(logits)

    return step


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    times = {
        f"{name}, {rows}": 1000
        * time_step(make_chain(rows, has_budget=has_budget), seconds=SECONDS, max_steps=5000)
        for name, has_budget in {"a budget": True, "no plan": False}.items()
        for rows in ROWS
    }
    print(json.dumps(times))


if __name__ == "__main__":
    main()
