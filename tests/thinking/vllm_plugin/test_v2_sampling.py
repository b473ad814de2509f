"""Thoughts and answers sampled apart under Model Runner V2, with torch operations."""

import random
from pathlib import Path

import pytest

from tests.server.conftest import PROFILES
from tests.thinking.vllm_plugin.runners import worker_config
from tests.thinking.vllm_plugin.v2_sampling import PhaseRunner, churn_phases

pytestmark = pytest.mark.slow  # vLLM takes ten seconds to import
PROFILE = PROFILES["special markers"]


def test_each_row_gets_what_its_next_tokens_phase_says(tmp_path: Path) -> None:
    """In recycled slots; rows of requests without two samplings are not touched."""
    runner = PhaseRunner(worker_config(tmp_path, PROFILE))
    assert churn_phases(runner, PROFILE, random.Random(4), num_steps=300) > 500
