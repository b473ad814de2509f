"""The log of a crashing engine contains no text of clients or thoughts of models."""

import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from server.engine.protocol import EngineRequest, SamplingSettings
from server.engine.vllm_messages import to_sampling_params
from thinking.plan import ThinkingPlan
from thinking.vllm_plugin.crash_masks import mask_crash_dumps

CANARY = 424242


def make_crashed_batch() -> Any:
    """Return a batch like that of vLLM's scheduler, with tokens of a thought."""
    from vllm.v1.core.sched.output import CachedRequestData, NewRequestData, SchedulerOutput

    plan = ThinkingPlan(prior_token_ids=(CANARY,), budget=64)
    request = EngineRequest("r", [CANARY], SamplingSettings(max_tokens=8), plan)
    new = NewRequestData(
        req_id="r",
        prompt_token_ids=[CANARY],
        mm_features=[],
        sampling_params=to_sampling_params(request),
        pooling_params=None,
        block_ids=([0],),
        num_computed_tokens=0,
        lora_request=None,
    )
    return SchedulerOutput(
        scheduled_new_reqs=[new],
        scheduled_cached_reqs=CachedRequestData.make_empty(),
        num_scheduled_tokens={"r": 1},
        total_num_scheduled_tokens=1,
        scheduled_spec_decode_tokens={},
        scheduled_encoder_inputs={},
        num_common_prefix_blocks=[0],
        finished_req_ids=set(),
        free_encoder_mm_hashes=[],
    )


@pytest.fixture
def vllm_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    logger = logging.getLogger("vllm")
    logger.addHandler(caplog.handler)
    return caplog


def test_the_dump_of_a_crash_holds_no_token(vllm_log: pytest.LogCaptureFixture) -> None:
    from vllm.v1.engine import core

    batch = make_crashed_batch()
    mask_crash_dumps()
    core.dump_engine_exception(None, batch, None)
    assert "1 requests" in vllm_log.text
    assert str(CANARY) not in vllm_log.text


def test_sampling_parameters_never_show_a_plan() -> None:
    batch = make_crashed_batch()
    mask_crash_dumps()
    (new,) = batch.scheduled_new_reqs
    assert str(CANARY) not in repr(new.sampling_params)
    assert str(CANARY) not in str(new.sampling_params)
    assert new.sampling_params.extra_args["thinking"]["prior_token_ids"] is not None


def test_a_batch_that_cannot_be_described_hides_no_error(
    vllm_log: pytest.LogCaptureFixture,
) -> None:
    from vllm.v1.engine import core

    mask_crash_dumps()
    core.dump_engine_exception(None, SimpleNamespace(), None)
    assert "could not be described" in vllm_log.text


def test_processes_leave_no_memory_on_disk() -> None:
    source = (
        "import resource, subprocess, sys\n"
        "from server.process.exit import forbid_core_dumps\n"
        "forbid_core_dumps()\n"
        "child = 'import resource; print(resource.getrlimit(resource.RLIMIT_CORE))'\n"
        "subprocess.run([sys.executable, '-c', child], check=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(0, 0)"
