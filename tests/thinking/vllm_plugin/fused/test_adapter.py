"""Model Runner V2's adapter with the fused kernels, driven as the runner drives it."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.examples import LONG, NUM_EXAMPLES
from tests.thinking.vllm_plugin.runners import RunnerV2, worker_config
from tests.thinking.vllm_plugin.test_adapters import churn
from thinking.markers.profile import MarkerProfile
from thinking.vllm_plugin.v2_steps import FusedStepOnRunner

# Of each of the six tests; together 10,000 where it may take long.
NUM_STEPS = 1_700 if settings().max_examples == NUM_EXAMPLES[LONG] else 25


@pytest.mark.parametrize("num_drafts", [0, 4])
def test_no_row_ever_sees_anothers_state(
    tmp_path: Path, profile: MarkerProfile, num_drafts: int
) -> None:
    """Requests join, leave, are preempted and resume in recycled slots; nothing waits.

    Each row is compared with the tracker of its own request, before and after drafts.
    """
    runner = RunnerV2(worker_config(tmp_path, profile, num_drafts))
    assert isinstance(runner.processor._step, FusedStepOnRunner)
    assert churn(runner, profile, NUM_STEPS) > 2
