"""The plugin in a stock vLLM: what it adds to a configuration, and where it stays out."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm")

import vllm
from vllm import SamplingParams
from vllm.engine.arg_utils import EngineArgs
from vllm.exceptions import VLLMValidationError
from vllm.v1.sample.logits_processor import validate_logits_processors_parameters
from vllm.v1.structured_output import StructuredOutputManager
from vllm.v1.worker.gpu.sample.logits_processor.loader import (
    build_custom_logits_processors_params_validator,
)

from tests.server.conftest import TOKENIZER, VOCAB_SIZE, ids
from tests.thinking.vllm_plugin.stock_config import make_stock_config, save_model
from thinking.markers.profile import MarkerProfile
from thinking.plan import EXTRA_ARGS_KEY, PLAN_VERSION, ThinkingPlan, make_plan
from thinking.vllm_plugin import engine_setup, stock, stock_engine
from thinking.vllm_plugin.engine_setup import UnsupportedOptionError
from thinking.vllm_plugin.identity import IDENTITY_KEY, OwnEngine, identify

pytestmark = pytest.mark.slow  # vLLM takes ten seconds to import

MARKER_VARIABLES = ("START", "END", "PRIMER", "LEAD_IN")


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the plugin up, for this test."""
    for name in ("identity", "vocab_size"):
        monkeypatch.setattr(OwnEngine, name, None)
    for name in MARKER_VARIABLES:
        monkeypatch.delenv(f"THINKING_SERVER_THINKING_{name}", raising=False)
    monkeypatch.setattr(EngineArgs, "create_engine_config", EngineArgs.create_engine_config)
    stock.set_up()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def vllm_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger = logging.getLogger("vllm")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def own_processors(config: Any) -> list[str]:
    given = config.model_config.logits_processors or []
    return [name for name in given if name.startswith("thinking.")]


def profile_of(config: Any) -> MarkerProfile:
    return MarkerProfile.from_dict(config.additional_config[EXTRA_ARGS_KEY])


class TestConfiguration:
    def test_no_option_is_needed(self, model: Path) -> None:
        config = make_stock_config(model)
        assert any(name.endswith(":ThinkingLogitsProcessor") for name in own_processors(config))
        assert profile_of(config).start_token_ids == ids("<think>")
        assert not config.model_config.skip_tokenizer_init

    def test_setting_up_twice_adds_everything_once(self, model: Path) -> None:
        methods = (StructuredOutputManager._create_grammar, StructuredOutputManager._get_reasoner)
        once = EngineArgs.create_engine_config
        for _ in range(2):
            stock.set_up()
            stock.set_up_core()
        assert EngineArgs.create_engine_config is once
        assert methods == (
            StructuredOutputManager._create_grammar,
            StructuredOutputManager._get_reasoner,
        )
        processors = own_processors(make_stock_config(model))
        assert len(processors) == len(set(processors))

    def test_two_configurations_of_the_same_options_are_the_same(self, model: Path) -> None:
        """Each of vLLM's API processes makes one of its own."""
        first, second = make_stock_config(model), make_stock_config(model)
        assert own_processors(first) == own_processors(second)
        assert first.additional_config == second.additional_config

    def test_a_server_that_adds_the_sampler_itself_is_left_alone(self, model: Path) -> None:
        with stock.adding_nothing():
            config = make_stock_config(model)
        assert not own_processors(config)
        assert config.additional_config == {}
        assert config.model_config.skip_tokenizer_init

    def test_options_of_requests_without_a_plan_stay_as_they_are(self, model: Path) -> None:
        with stock.adding_nothing():
            alone = make_stock_config(model, tokens_only=False, reasoning_parser="qwen3")
        config = make_stock_config(model, tokens_only=False, reasoning_parser="qwen3")
        assert config.structured_outputs_config == alone.structured_outputs_config
        assert config.structured_outputs_config.reasoning_parser == "qwen3"

    def test_an_option_under_which_a_budget_would_not_hold_ends_the_start(
        self, model: Path
    ) -> None:
        with pytest.raises(UnsupportedOptionError, match=r"reserved; or leave .* \(VLLM_PLUGINS\)"):
            make_stock_config(model, additional_config={EXTRA_ARGS_KEY: {}})
        with pytest.raises(UnsupportedOptionError, match="enable_in_reasoning"):
            make_stock_config(model, structured_outputs_config={"enable_in_reasoning": True})


class TestMarkersOfTheEnvironment:
    def test_are_those_of_a_front_end_with_the_same_options(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THINKING_SERVER_THINKING_START", "[a]")
        monkeypatch.setenv("THINKING_SERVER_THINKING_END", "[/a]")
        monkeypatch.setenv("THINKING_SERVER_THINKING_PRIMER", "")
        monkeypatch.setenv("THINKING_SERVER_THINKING_LEAD_IN", "\n")
        profile = profile_of(make_stock_config(model))
        assert profile.start_token_ids == ids("[a]")
        assert profile.end_token_ids == ids("[/a]")
        assert profile.primer_token_ids == ()
        assert profile.lead_in_token_ids == ids("\n")

    def test_that_cannot_be_used_end_the_start_and_are_named(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THINKING_SERVER_THINKING_START", "")
        with pytest.raises(UnsupportedOptionError, match=r"^THINKING_SERVER_THINKING_START: ''"):
            make_stock_config(model)

    def test_have_the_names_of_the_servers_options(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from server.settings.settings import ServerSettings

        for name in MARKER_VARIABLES:
            monkeypatch.setenv(f"THINKING_SERVER_THINKING_{name}", name)
        settings, overrides = ServerSettings(), stock_engine.read_marker_overrides()
        assert overrides.start == settings.thinking_start == "START"
        assert overrides.end == settings.thinking_end == "END"
        assert overrides.primer == settings.thinking_primer == "PRIMER"
        assert overrides.lead_in == settings.thinking_lead_in == "LEAD_IN"


class TestStayingOut:
    def test_a_model_without_a_tokenizer_is_served_as_without_the_plugin(
        self, tmp_path: Path, vllm_log: pytest.LogCaptureFixture
    ) -> None:
        for file in save_model(tmp_path).iterdir():
            if file.name != "config.json":
                file.unlink()
        config = make_stock_config(tmp_path)
        assert not own_processors(config)
        assert config.model_config.skip_tokenizer_init
        assert "sampler is not in this engine: the model's tokenizer" in vllm_log.text

    @pytest.mark.parametrize("version", ["0.31.2", "0.33.0", "0.320.0", "1.0", "dev"])
    def test_another_vllm_is_left_as_it_is(
        self,
        version: str,
        model: Path,
        monkeypatch: pytest.MonkeyPatch,
        vllm_log: pytest.LogCaptureFixture,
    ) -> None:
        plain = EngineArgs.create_engine_config.__wrapped__
        monkeypatch.setattr(EngineArgs, "create_engine_config", plain)
        monkeypatch.setattr(vllm, "__version__", version)
        stock.set_up()
        assert EngineArgs.create_engine_config is plain
        assert f"it is for vLLM 0.32, and this is {version}" in vllm_log.text

    @pytest.mark.parametrize(
        "version", ["0.32", "0.32.0", "0.32.1", "0.32.1.dev3+g12", "0.32.0+cpu"]
    )
    def test_builds_of_the_same_release_are_known(self, version: str) -> None:
        assert stock.is_known_version(version)


class TestRequests:
    """What both runners' processors refuse in the API process, as vLLM calls them."""

    @pytest.fixture
    def config(self, model: Path) -> Any:
        return make_stock_config(model)

    @pytest.fixture(params=["v1", "v2"])
    def check(self, request: pytest.FixtureRequest, config: Any) -> Any:
        processor = engine_setup.PROCESSOR.format(runner=request.param)
        if request.param == "v2":
            return build_custom_logits_processors_params_validator([processor])
        return lambda params: validate_logits_processors_parameters([processor], params)

    def identity(self, folder: Path) -> dict[str, str]:
        """Return the identity that a front end expects of the model in `folder`."""
        from vllm.tokenizers import cached_tokenizer_from_config

        config = EngineArgs(model=str(folder)).create_model_config()
        tokenizer = cached_tokenizer_from_config(config)
        overrides = stock_engine.read_marker_overrides()
        profile = engine_setup.find_markers(config, tokenizer, overrides)
        return identify(config, tokenizer, profile).to_dict()

    def test_the_identity_of_both_sides_is_the_same(self, model: Path, check: Any) -> None:
        check(SamplingParams(extra_args={IDENTITY_KEY: self.identity(model)}))

    def test_another_model_is_refused(self, check: Any, tmp_path: Path) -> None:
        other = self.identity(save_model(tmp_path, num_hidden_layers=2))
        with pytest.raises(VLLMValidationError, match="this engine has another model"):
            check(SamplingParams(extra_args={IDENTITY_KEY: other}))

    def test_a_tokenizer_that_differs_in_one_word_is_refused(
        self, check: Any, tmp_path: Path
    ) -> None:
        file = save_model(tmp_path) / "tokenizer.json"
        words = json.loads(file.read_text())
        vocab = words["model"]["vocab"]
        vocab["Ă"], vocab["ă"] = vocab["ă"], vocab["Ă"]
        file.write_text(json.dumps(words))
        with pytest.raises(VLLMValidationError, match="this engine has another tokenizer"):
            check(SamplingParams(extra_args={IDENTITY_KEY: self.identity(tmp_path)}))

    def test_other_markers_are_refused(
        self, check: Any, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THINKING_SERVER_THINKING_PRIMER", "First")
        with pytest.raises(VLLMValidationError, match="other thinking markers"):
            check(SamplingParams(extra_args={IDENTITY_KEY: self.identity(model)}))

    @pytest.mark.parametrize("identity", ["x", 1, [], {}])
    def test_what_is_no_identity_is_refused(self, check: Any, identity: Any) -> None:
        with pytest.raises(VLLMValidationError, match=r"another model|must be an object"):
            check(SamplingParams(extra_args={IDENTITY_KEY: identity}))

    def test_an_engine_that_the_plugin_did_not_configure_knows_no_identity(
        self, check: Any, model: Path
    ) -> None:
        OwnEngine.identity = None
        with pytest.raises(VLLMValidationError, match="not configured by thinking-server's plugin"):
            check(SamplingParams(extra_args={IDENTITY_KEY: self.identity(model)}))

    @pytest.mark.parametrize("version", [PLAN_VERSION - 1, PLAN_VERSION + 1, None, "1"])
    def test_a_plan_of_another_version_is_refused(self, check: Any, version: Any) -> None:
        plan = ThinkingPlan().to_dict() | {"version": version}
        with pytest.raises(
            VLLMValidationError, match=f"reads {PLAN_VERSION}: install the same release"
        ):
            check(SamplingParams(extra_args={EXTRA_ARGS_KEY: plan}))

    @pytest.mark.parametrize(
        "changes",
        [
            {"earlier_token_ids": [VOCAB_SIZE]},
            {"script": [VOCAB_SIZE], "opens": False},
            {"prior_token_ids": [-1]},
            {"prior_token_ids": ["1"]},
            {"earlier_token_ids": None},
            {"budget": "8"},
            {"budget": 2**31},
            {"budget": 1.5},
            {"grace_tokens": None},
            {"opens": 1},
            {"loop_guard": {"max_period": 0}},
            {"loop_guard": [1]},
            {"segments": {"mode": 9}},
            {"commands": [{}]},
            {"commands": 1},
            {"a_new_field": 1},
            {"early_exit": "x"},
            {"loop_guard": {"min_tokens": 2**40}},
            {"segments": {"mode": 1, "strings": [], "threshold": "x"}},
        ],
        ids=str,
    )
    def test_a_plan_that_would_break_the_sampler_is_refused(
        self, check: Any, config: Any, changes: dict[str, Any]
    ) -> None:
        plan = make_plan(profile_of(config), 40).to_dict()
        check(SamplingParams(extra_args={EXTRA_ARGS_KEY: plan}))
        with pytest.raises(VLLMValidationError, match=r"^thinking plan: "):
            check(SamplingParams(extra_args={EXTRA_ARGS_KEY: plan | changes}))

    @pytest.mark.parametrize("plan", [[], "plan", 1, {}])
    def test_what_is_no_plan_is_refused(self, check: Any, plan: Any) -> None:
        with pytest.raises(VLLMValidationError, match="version None"):
            check(SamplingParams(extra_args={EXTRA_ARGS_KEY: plan}))

    def test_requests_of_others_pass(self, check: Any) -> None:
        check(SamplingParams())
        check(SamplingParams(extra_args={"kv_transfer_params": {}}))


def test_the_log_shows_parameters_of_requests_without_a_plan() -> None:
    stock.set_up_core()
    assert "min_p=0.25" in repr(SamplingParams(min_p=0.25))
    plan = ThinkingPlan(prior_token_ids=ids("secret")).to_dict()
    shown = repr(SamplingParams(min_p=0.25, extra_args={EXTRA_ARGS_KEY: plan}))
    assert "prior_token_ids" not in shown
    assert TOKENIZER.eos_token not in shown
