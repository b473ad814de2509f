"""Stage "speculative": n-gram drafts with and without a budget: acceptance and tokens a second.

One engine with our processor; rounds alternate between requests with and without a budget. They
are greedy: random weights then repeat themselves, which n-grams draft well. Where our server or
vLLM refuses to speculate beside the processor, the refusal is the result.
"""

import time
from typing import Any

from benchmarks.gpu.engine import (
    Side,
    check_side,
    generate,
    make_prompts,
)
from benchmarks.gpu.markers import find_markers, make_engine_options, make_thinking_options
from benchmarks.gpu.records import Check, Fact, Journal, Problem, Round
from benchmarks.gpu.settings import Deadline, Settings
from benchmarks.gpu.sides import DRAFTS, DRAFTS_BUDGET
from thinking.plan import EXTRA_ARGS_KEY, ThinkingRules, make_plan

STAGE = "speculative"
LAW = "under drafts: forced tokens came, and no thought was longer than its budget"
NGRAM = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}
DRAFTED = "vllm:spec_decode_num_draft_tokens"
ACCEPTED = "vllm:spec_decode_num_accepted_tokens"


def run(settings: Settings, journal: Journal, deadline: Deadline) -> None:
    """Alternate between requests with and without a budget, or report the refusal."""
    options = make_engine_options(settings, max(settings.sizes.requests))
    options |= {"speculative_config": dict(NGRAM), "disable_log_stats": False}
    refusal = find_refusal(options)
    if refusal is not None:
        journal.append(Problem("n-gram drafts", f"refused: {refusal}"))
        return
    markers = find_markers(settings)
    from vllm import LLM, SamplingParams

    begin = time.monotonic()
    llm = LLM(**options, **make_thinking_options(settings, markers))
    journal.append(Fact("engine (n-gram)", f"started in {time.monotonic() - begin:.0f} s"))
    sizes = settings.sizes
    # Without the guard, or the loops that are drafted so well would end each thought.
    plan = make_plan(markers.profile, sizes.budget, ThinkingRules(loop_guard=None))
    sampling = {
        "max_tokens": sizes.max_tokens,
        "temperature": 0.0,
        "ignore_eos": True,
        "detokenize": False,
    }
    budgeted = SamplingParams(**sampling, extra_args={EXTRA_ARGS_KEY: plan.to_dict()})
    sides = [
        Side(DRAFTS, llm, SamplingParams(**sampling)),
        Side(DRAFTS_BUDGET, llm, budgeted, plan=plan),
    ]
    prompts = make_prompts(markers, max(sizes.requests))
    for side in sides:
        generate(side, prompts)
    for num_requests in sizes.requests:
        for _ in range(sizes.rounds):
            if not deadline.has(5):
                journal.append(Problem(f"{num_requests} requests", "no time left"))
                return
            for side in sides:
                before = count_drafts(llm)
                rate, outputs = generate(side, prompts[:num_requests])
                acceptance = compute_acceptance(before, count_drafts(llm))
                journal.append(
                    Round(STAGE, side.name, num_requests, round(rate, 1), acceptance=acceptance)
                )
                check_side(side, markers, outputs, Check(STAGE, LAW, len(outputs)), journal)


def find_refusal(options: dict[str, Any]) -> str | None:
    """Return why the server would refuse the engine options; None if it takes them."""
    from server.engine.start_errors import EngineConfigError
    from server.engine.vllm_options import make_config

    try:
        make_config(options)
    except EngineConfigError as error:
        return str(error)
    return None


def count_drafts(llm: Any) -> tuple[int, int]:
    """Return how many tokens were drafted and accepted so far."""
    values = {metric.name: getattr(metric, "value", 0) for metric in llm.get_metrics()}
    return int(values.get(DRAFTED, 0)), int(values.get(ACCEPTED, 0))


def compute_acceptance(before: tuple[int, int], after: tuple[int, int]) -> float | None:
    """Return the share of the tokens drafted in between that were accepted; None if none was."""
    drafted, accepted = (now - then for now, then in zip(after, before, strict=True))
    return None if drafted == 0 else round(accepted / drafted, 4)
