"""Engine options that are passed on, and configurations that are refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from server.cli import parse_engine_options

pytest.importorskip("vllm")
pytestmark = pytest.mark.slow  # vLLM takes ten seconds to import


def make_structured_options(**changes: Any) -> Any:
    """Return vLLM's default options of structured outputs with `changes`."""
    values: dict[str, Any] = {
        "backend": "auto",
        "reasoning_parser": "",
        "reasoning_parser_plugin": "",
        "enable_in_reasoning": False,
    }
    return SimpleNamespace(**(values | changes))


def make_model_config(**changes: Any) -> Any:
    """Return the part of a vLLM configuration that describes the model."""
    values: dict[str, Any] = {
        "runner_type": "generate",
        "skip_tokenizer_init": False,
        "is_diffusion": False,
        "logits_processors": None,
    }
    return SimpleNamespace(**(values | changes))


def make_speculative(acceptance: str = "standard") -> Any:
    """Return the checked fields of vLLM's speculative configuration."""
    return SimpleNamespace(method="ngram", rejection_sample_method=acceptance)


def make_config(**changes: Any) -> Any:
    """Return the checked fields of a valid vLLM configuration with `changes`."""
    model = make_model_config()
    values: dict[str, Any] = {
        "use_v2_model_runner": False,
        "parallel_config": SimpleNamespace(enable_batch_sharded_sampling=False),
        "speculative_config": None,
        "model_config": model,
        "additional_config": {},
        "structured_outputs_config": make_structured_options(),
    }
    return SimpleNamespace(**(values | changes))


def test_only_explicit_engine_options_are_passed_on() -> None:
    given = parse_engine_options(["--max_model_len", "1k", "--dtype=float32", "--enforce-eager"])
    assert given == {"max_model_len": 1000, "dtype": "float32", "enforce_eager": True}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"parallel_config": SimpleNamespace(enable_batch_sharded_sampling=True)},
            "--enable-batch-sharded-sampling",
        ),
        ({"model_config": make_model_config(is_diffusion=True)}, "--model"),
        ({"speculative_config": make_speculative()}, "V1 runner"),
        (
            {"speculative_config": make_speculative("synthetic"), "use_v2_model_runner": True},
            "synthetic",
        ),
        ({"additional_config": {"thinking": {}}}, "--additional-config"),
        ({"additional_config": object()}, "--additional-config"),
        (
            {"structured_outputs_config": make_structured_options(reasoning_parser="qwen3")},
            "--reasoning-parser",
        ),
        (
            {"structured_outputs_config": make_structured_options(enable_in_reasoning=True)},
            "enable_in_reasoning",
        ),
        ({"structured_outputs_config": make_structured_options(backend="outlines")}, "backend"),
        (
            {"model_config": make_model_config(runner_type="pooling")},
            "--runner",
        ),
    ],
)
def test_what_would_break_a_budget_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    from thinking.vllm_plugin.engine_checks import check_config
    from thinking.vllm_plugin.engine_setup import UnsupportedOptionError

    check_config(make_config())
    with pytest.raises(UnsupportedOptionError, match=named):
        check_config(make_config(**changes))


@pytest.mark.parametrize("acceptance", ["standard", "block"])
def test_drafts_are_let_through_where_the_runner_shows_them_to_the_sampler(acceptance: str) -> None:
    from thinking.vllm_plugin.engine_checks import check_config

    speculative = make_speculative(acceptance)
    check_config(make_config(speculative_config=speculative, use_v2_model_runner=True))


@pytest.mark.parametrize(("runs_v2", "module"), [(False, "v1"), (True, "v2")])
def test_the_adapter_is_that_of_the_runner_which_will_run(runs_v2: bool, module: str) -> None:
    from thinking.vllm_plugin.engine_setup import (
        NUCLEUS_PROCESSOR,
        PHASE_PROCESSOR,
        add_processors,
    )

    given = make_config(
        use_v2_model_runner=runs_v2, model_config=make_model_config(logits_processors=["a:B"])
    )
    add_processors(given)
    expected = f"thinking.vllm_plugin.{module}:ThinkingLogitsProcessor"
    # These tests run on a CPU.
    sampling = [] if runs_v2 else [PHASE_PROCESSOR, NUCLEUS_PROCESSOR]
    assert given.model_config.logits_processors == ["a:B", expected, *sampling]
