"""Tokens per second on the CPU: our engine settings against vLLM's own float32.

    python -m benchmarks.engine_settings [--model FOLDER]

One run measures both, each in a fresh process, and prints a Markdown table with the
hardware and the date. Exits with 1 if ours is not fast enough. Measures the engine alone:
no HTTP and no thinking.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from benchmarks.machine import describe_machine
from server.process.environment import set_process_defaults

NUM_TOKENS = 128
CLIENTS = (1, 16, 32)
ROUNDS = 3  # the best one counts: other load on the machine can only slow a round down
PROMPT = list(range(100, 132))
REQUIRED_SPEEDUP = 1.5  # at REQUIRED_AT
REQUIRED_AT = 16

# Generates NUM_TOKENS tokens under a request id, yielding the numbers of new tokens.
Generate = Callable[[str], AsyncGenerator[int, None]]


async def measure_rate(generate: Generate, num_clients: int, name: str) -> float:
    """Return the tokens per second of `num_clients` greedy requests run together."""

    async def count(request_id: str) -> int:
        return sum([n async for n in generate(request_id)])

    start = time.perf_counter()
    counts = await asyncio.gather(*(count(f"{name}-{i}") for i in range(num_clients)))
    return sum(counts) / (time.perf_counter() - start)


async def measure(generate: Generate) -> dict[int, float]:
    """Return the best rate of all rounds by number of clients, after a warm-up."""
    await measure_rate(generate, 2, "warm-up")
    best = dict.fromkeys(CLIENTS, 0.0)
    for round_number in range(ROUNDS):
        for clients in CLIENTS:
            rate = await measure_rate(generate, clients, f"{round_number}-{clients}")
            best[clients] = max(best[clients], rate)
    return best


async def measure_ours(model: str) -> dict[int, float]:
    """Measure the server's engine as ``thinking-server`` starts it."""
    from server.engine.protocol import EngineRequest, SamplingSettings
    from server.engine.vllm_engine import VllmEngine
    from server.settings.settings import ServerSettings
    from thinking.plan import ThinkingPlan

    engine = await VllmEngine.start({"model": model}, ServerSettings(), "benchmark")
    bias = dict.fromkeys(engine.profile.stop_token_ids, -100.0)
    sampling = SamplingSettings(max_tokens=NUM_TOKENS, temperature=0.0, logit_bias=bias)

    async def generate(request_id: str) -> AsyncGenerator[int, None]:
        request = EngineRequest(request_id, PROMPT, sampling, ThinkingPlan())
        async for output in engine.generate(request):
            yield len(output.token_ids)

    best = await measure(generate)
    await engine.close()
    return best


async def measure_vllm(model: str) -> dict[int, float]:
    """Measure plain vLLM in float32; eager, as compiling makes small models slower."""
    from vllm import SamplingParams
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.inputs import tokens_input
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments = AsyncEngineArgs(
        model=model, dtype="float32", enforce_eager=True, kv_cache_memory_bytes=4 * 2**30
    )
    llm = AsyncLLM.from_engine_args(arguments)
    params = SamplingParams(
        max_tokens=NUM_TOKENS,
        temperature=0.0,
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )

    async def generate(request_id: str) -> AsyncGenerator[int, None]:
        async for output in llm.generate(tokens_input(PROMPT), params, request_id):
            yield len(output.outputs[0].token_ids)

    best = await measure(generate)
    llm.shutdown()
    return best


MEASUREMENTS = {"vLLM, float32": measure_vllm, "thinking-server": measure_ours}


def measure_in_fresh_process(name: str, model: str) -> dict[int, float]:
    """Run one measurement in its own process; its startup environment must not leak."""
    command = [sys.executable, "-m", __spec__.name, "--model", model, "--only", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {int(k): v for k, v in json.loads(done.stdout.splitlines()[-1]).items()}


def format_table(results: dict[str, dict[int, float]]) -> str:
    """Return the results in Markdown."""
    lines = [
        f"{describe_machine()}, tokens/s:",
        "",
        "| engine | " + " | ".join(f"{n} at once" for n in CLIENTS) + " |",
        "|---" * (1 + len(CLIENTS)) + "|",
    ]
    for name, rates in results.items():
        lines.append(f"| {name} | " + " | ".join(f"{rates[n]:.0f}" for n in CLIENTS) + " |")
    speedup = " | ".join(f"{_compute_speedup(results, n):.2f} ×" for n in CLIENTS)
    return "\n".join([*lines, f"| speed-up | {speedup} |"])


def _compute_speedup(results: dict[str, dict[int, float]], num_clients: int) -> float:
    theirs, ours = (results[name][num_clients] for name in MEASUREMENTS)
    return ours / theirs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="a model's folder; default: the embedded model")
    parser.add_argument("--only", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    set_process_defaults(needs_hub=False)
    model: Any = arguments.model
    if model is None:
        from server.hub.model_resolution import resolve_model

        model = resolve_model(None).path_or_hub_id
    if arguments.only:
        print(json.dumps(asyncio.run(MEASUREMENTS[arguments.only](model))), flush=True)
        return 0
    results = {name: measure_in_fresh_process(name, model) for name in MEASUREMENTS}
    print(format_table(results))
    return 0 if _compute_speedup(results, REQUIRED_AT) >= REQUIRED_SPEEDUP else 1


if __name__ == "__main__":
    sys.exit(main())
