"""Stage "engine": tokens a second of vLLM's own engine, without and with our logits processor.

Two engines of one configuration live side by side, so that rounds can alternate: one plain, with
vLLM's reasoning markers set, one with our processor. Every output under our budget is replayed by
the tracker.
"""

import random
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.laws import LawError, check_outputs
from benchmarks.gpu.markers import (
    ModelMarkers,
    find_markers,
    make_engine_options,
    make_thinking_options,
)
from benchmarks.gpu.records import LAW_BROKEN, Check, Fact, Journal, Problem, Round
from benchmarks.gpu.settings import Deadline, Settings
from benchmarks.gpu.sides import IDLE, NATIVE, OURS, PLAIN
from thinking.plan import EXTRA_ARGS_KEY, ThinkingPlan, ThinkingRules, make_plan

STAGE = "engine"
LAW = "forced tokens came, and no thought was longer than its budget"
PROMPT_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Side:
    """Way to run the same requests: an engine, its sampling parameters, what follows the prompt."""

    name: str
    llm: Any
    params: Any
    opening: tuple[int, ...] = ()
    plan: ThinkingPlan | None = None


def run(settings: Settings, journal: Journal, deadline: Deadline) -> None:
    """Alternate between the sides until all rounds are done or the time is over.

    A round of every number of requests comes before the next of any, so that a short time yields
    something of each.
    """
    markers = find_markers(settings)
    sides = start_sides(settings, markers, journal)
    prompts = make_prompts(markers, max(settings.sizes.requests))
    usable = [side for side in sides if _warm_up(side, prompts, journal)]
    longest = dict.fromkeys(settings.sizes.requests, 0.0)
    for number in range(settings.sizes.rounds):
        for num_requests in settings.sizes.requests:
            if not deadline.has(1.2 * longest[num_requests]):
                journal.append(Problem(f"{num_requests} requests, round {number + 1}", "no time"))
                continue
            begin = time.monotonic()
            # Which side comes first alternates too.
            for side in usable if number % 2 == 0 else usable[::-1]:
                rate, outputs = generate(side, prompts[:num_requests])
                journal.append(Round(STAGE, side.name, num_requests, round(rate, 1)))
                check_side(side, markers, outputs, Check(STAGE, LAW, len(outputs)), journal)
            longest[num_requests] = max(longest[num_requests], time.monotonic() - begin)


def start_sides(settings: Settings, markers: ModelMarkers, journal: Journal) -> list[Side]:
    """Start both engines and return the four sides."""
    from vllm import LLM, SamplingParams
    from vllm.config import ReasoningConfig

    sizes, profile = settings.sizes, markers.profile
    options = make_engine_options(settings, max(sizes.requests)) | {"disable_log_stats": True}
    decode = markers.tokenizer.decode
    reasoning = ReasoningConfig(
        reasoning_start_str=decode(list(profile.start_token_ids)),
        reasoning_end_str=decode(list(profile.end_token_ids)),
    )
    ours = _start("ours", LLM, options | make_thinking_options(settings, markers), journal)
    plain = _start("plain", LLM, options | {"reasoning_config": reasoning}, journal)
    sampling = {
        "max_tokens": sizes.max_tokens,
        "temperature": 1.0,
        "ignore_eos": True,
        "detokenize": False,
    }
    plan = make_plan(profile, sizes.budget, ThinkingRules())
    budgeted = SamplingParams(**sampling, extra_args={EXTRA_ARGS_KEY: plan.to_dict()})
    # vLLM counts from a marker, which a random model does not write by itself.
    native = SamplingParams(**sampling, thinking_token_budget=sizes.budget)
    return [
        Side(PLAIN, plain, SamplingParams(**sampling)),
        Side(IDLE, ours, SamplingParams(**sampling)),
        Side(OURS, ours, budgeted, plan=plan),
        Side(NATIVE, plain, native, opening=profile.start_token_ids),
    ]


def _start(name: str, make: Any, options: dict[str, Any], journal: Journal) -> Any:
    begin = time.monotonic()
    llm = make(**options)
    config = llm.llm_engine.vllm_config
    journal.append(
        Fact(
            f"engine ({name})",
            f"started in {time.monotonic() - begin:.0f} s, "
            f"runner {'V2' if config.use_v2_model_runner else 'V1'}, "
            f"asynchronous scheduling {config.scheduler_config.async_scheduling}, "
            f"compilation {config.compilation_config.mode}, "
            f"graphs {config.compilation_config.cudagraph_mode}, "
            f"dtype {config.model_config.dtype}, eager {config.model_config.enforce_eager}",
        )
    )
    return llm


def make_prompts(markers: ModelMarkers, count: int) -> list[list[int]]:
    """Return prompts of ordinary tokens, the same ones in each run."""
    rng, words = random.Random(3), markers.choose_word_ids()
    return [rng.choices(words, k=PROMPT_TOKENS) for _ in range(count)]


def generate(side: Side, prompts: Sequence[list[int]]) -> tuple[float, list[list[int]]]:
    """Run the requests of a round; return tokens per second, and the outputs' token ids."""
    inputs = [{"prompt_token_ids": [*prompt, *side.opening]} for prompt in prompts]
    begin = time.perf_counter()
    outputs = side.llm.generate(inputs, side.params, use_tqdm=False)
    seconds = time.perf_counter() - begin
    token_ids = [list(output.outputs[0].token_ids) for output in outputs]
    return sum(map(len, token_ids)) / seconds, token_ids


def check_side(
    side: Side,
    markers: ModelMarkers,
    outputs: Sequence[Sequence[int]],
    check: Check,
    journal: Journal,
) -> None:
    """Replay the outputs of a side with a budget, and record `check`, or the law that is broken."""
    if side.plan is None:
        return
    try:
        check_outputs(markers.tables, side.plan, outputs)
    except LawError as error:
        journal.append(Problem(side.name, f"{LAW_BROKEN}: {error}"))
    else:
        journal.append(check)


def _warm_up(side: Side, prompts: Sequence[list[int]], journal: Journal) -> bool:
    """Run the largest round once; return whether it works."""
    try:
        generate(side, prompts)
    except Exception as error:  # any type of vLLM's; the other sides are worth having
        traceback.print_exc()
        journal.append(Problem(side.name, f"{type(error).__name__}: {str(error)[:300]}"))
        return False
    return True
