"""Which engine options are passed on, and which configurations are refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from server.cli import parse_engine_options
from server.engine.start_errors import EngineConfigError

pytest.importorskip("vllm")
pytestmark = pytest.mark.slow  # vLLM takes ten seconds to import


def structured(**changes: Any) -> Any:
    """vLLM's options of structured outputs, as they are by default."""
    values: dict[str, Any] = {
        "backend": "auto",
        "reasoning_parser": "",
        "reasoning_parser_plugin": "",
        "enable_in_reasoning": False,
    }
    return SimpleNamespace(**(values | changes))


def model_config(**changes: Any) -> Any:
    """The part of it that describes the model."""
    values: dict[str, Any] = {
        "runner_type": "generate",
        "skip_tokenizer_init": False,
        "is_diffusion": False,
        "logits_processors": None,
    }
    return SimpleNamespace(**(values | changes))


def config(**changes: Any) -> Any:
    """What the check reads of a vLLM configuration that can be served."""
    model = model_config()
    values: dict[str, Any] = {
        "use_v2_model_runner": False,
        "parallel_config": SimpleNamespace(enable_batch_sharded_sampling=False),
        "speculative_config": None,
        "model_config": model,
        "additional_config": {},
        "structured_outputs_config": structured(),
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
        ({"model_config": model_config(is_diffusion=True)}, "--model"),
        ({"speculative_config": object()}, "--speculative-config"),
        ({"additional_config": {"thinking": {}}}, "--additional-config"),
        ({"additional_config": object()}, "--additional-config"),
        (
            {"structured_outputs_config": structured(reasoning_parser="qwen3")},
            "--reasoning-parser",
        ),
        (
            {"structured_outputs_config": structured(enable_in_reasoning=True)},
            "enable_in_reasoning",
        ),
        ({"structured_outputs_config": structured(backend="outlines")}, "backend"),
        (
            {"model_config": model_config(runner_type="pooling")},
            "--runner",
        ),
        (
            {"model_config": model_config(skip_tokenizer_init=True)},
            "--skip-tokenizer-init",
        ),
    ],
)
def test_what_would_break_a_budget_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    from server.engine.vllm_options import check_config

    check_config(config())
    with pytest.raises(EngineConfigError, match=named):
        check_config(config(**changes))


@pytest.mark.parametrize(("runs_v2", "module"), [(False, "v1"), (True, "v2")])
def test_the_adapter_is_that_of_the_runner_which_will_run(runs_v2: bool, module: str) -> None:
    from server.engine.vllm_options import add_processor

    given = config(
        use_v2_model_runner=runs_v2, model_config=model_config(logits_processors=["a:B"])
    )
    add_processor(given)
    expected = f"thinking.vllm_plugin.{module}:ThinkingLogitsProcessor"
    assert given.model_config.logits_processors == ["a:B", expected]
