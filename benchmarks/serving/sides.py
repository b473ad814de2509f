"""The servers that are compared: how each is started, and what it is asked.

A side is a server with one kind of request. Knows no times.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.laws import check_reply
from benchmarks.proof.fresh_chains import draw_chains
from benchmarks.server_process import HOST, RunningServer, serve, to_flags
from benchmarks.streams import Reply
from server.cli import parse_engine_options
from server.engine.cpu import choose_cpu_settings
from server.hub.model_resolution import EMBEDDED_MODELS, GgufPackage, find_gguf, resolve_model

OURS, VLLM, LLAMA = "ours", "vLLM", "llama.cpp"
ELSEWHERE = "elsewhere"  # our server, with an engine in a stock vLLM with our plugin
PLAIN, HIDDEN, SHOWN, THEIR_BUDGET = "no thought", "hidden", "shown", "its budget"
MODEL_NAME = "benchmark"
START, END = "<think>", "</think>"  # that vLLM counts from; a prompt of its side ends with START
READY_SECONDS = 600.0
MAX_MODEL_LEN = 1024
# GiB of KV cache: by default vLLM would take nearly all memory for its server.
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "2"}
# vLLM's server as it is: without what our plugin adds to each engine of this environment.
OWN_ENVIRONMENT = {VLLM: {"VLLM_PLUGINS": ""}}
LLAMA_PYTHON = Path(".cache/clients/llama-cpp/bin/python")
LLAMA_SCRIPT = Path(__file__).with_name("llama_server.py")


@dataclass(frozen=True)
class Plan:
    """Settings of a run: `budget` of `max_tokens` tokens a reply are thought where it thinks."""

    model: str
    loads: tuple[int, ...] = (1, 8, 32, 128)
    temperatures: tuple[float, ...] = (0.0, 1.0)
    servers: tuple[str, ...] = (OURS, VLLM, LLAMA)
    max_tokens: int = 96
    budget: int = 64
    rounds: int = 3
    our_options: tuple[str, ...] = ()
    vllm_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """Requests of one kind to one server."""

    server: str
    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    ending: str = ""  # of the user's message

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"{self.server}, {self.kind}"


def list_sides(plan: Plan) -> list[Side]:
    """Return the sides that the plan compares."""
    budget = {"max_thinking_tokens": plan.budget}
    sides = [
        Side(OURS, PLAIN, {"max_thinking_tokens": 0}),
        Side(VLLM, PLAIN),
        Side(LLAMA, PLAIN, {"cache_prompt": False}),
        Side(OURS, HIDDEN, budget),
        Side(OURS, SHOWN, {**budget, "include_reasoning": True}),
        Side(ELSEWHERE, PLAIN, {"max_thinking_tokens": 0}),
        Side(ELSEWHERE, HIDDEN, budget),
        Side(ELSEWHERE, SHOWN, {**budget, "include_reasoning": True}),
        # vLLM counts from a marker, which not every model writes by itself.
        Side(VLLM, THEIR_BUDGET, {"thinking_token_budget": plan.budget}, START),
    ]
    return [side for side in sides if side.server in plan.servers]


def make_bodies(
    plan: Plan, side: Side, num: int, temperature: float, seed: int
) -> list[dict[str, Any]]:
    """Return the bodies of a crowd. The same seed asks every side the same questions.

    The requests have no seed of their own: vLLM 0.32's CPU engine dies of one whose prompt it reads
    in parts ("CPU Generator does not use offset").
    """
    return [
        {
            "model": MODEL_NAME,
            "messages": [{"role": "user", "content": chain.question + side.ending}],
            "max_tokens": plan.max_tokens,
            "temperature": temperature,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            **side.fields,
        }
        for chain in draw_chains(seed, num)
    ]


def check(plan: Plan, side: Side, reply: Reply) -> None:
    """Check the laws of a reply of ours.

    Raises:
        LawError: one does not hold; the message says which.
    """
    if side.server in (OURS, ELSEWHERE):
        budget = side.fields["max_thinking_tokens"]
        check_reply(reply, budget=budget, max_tokens=plan.max_tokens, is_shown=side.kind == SHOWN)


@contextmanager
def start(server: str, plan: Plan, logs: Path) -> Iterator[RunningServer]:
    """Start one of the servers; end it afterwards.

    Raises:
        ServerError: it does not come up.
        FileNotFoundError: it is not installed, or cannot serve the model.
    """
    with ExitStack() as stack:
        command = [*_COMMANDS[server](plan)]
        if server == ELSEWHERE:
            engine = stack.enter_context(_serve_engine(plan, logs))
            command += ["--engine-url", engine.url]
        log = logs / f"{server.replace('.', '-')}.log"
        environment = ENVIRONMENT | OWN_ENVIRONMENT.get(server, {})
        yield stack.enter_context(
            serve(server, command, log, ready_seconds=READY_SECONDS, environment=environment)
        )


@contextmanager
def _serve_engine(plan: Plan, logs: Path) -> Iterator[RunningServer]:
    """Start an engine for a server elsewhere, with what our server would choose for its own."""
    folder = resolve_model(plan.model).path_or_hub_id
    given = _parse_flags(plan.our_options) | {"model": folder, "max_model_len": MAX_MODEL_LEN}
    chosen = choose_cpu_settings(given)
    module = "vllm.entrypoints.openai.api_server"
    own = {
        **{name: value for name, value in chosen.options.items() if name not in given},
        "tokens_only": True,
        "disable_log_stats": True,
        "disable_uvicorn_access_log": True,
    }
    command = [sys.executable, "-m", module, "--model", folder, *list_common_flags(plan)]
    with serve(
        "the engine elsewhere",
        [*command, *to_flags(own), *plan.our_options],
        logs / "engine-elsewhere.log",
        ready_seconds=READY_SECONDS,
        environment={**chosen.environment, **ENVIRONMENT},
    ) as running:
        yield running


def _parse_flags(flags: Sequence[str]) -> dict[str, Any]:
    return parse_engine_options(flags) if flags else {}


def _make_our_command(plan: Plan) -> list[str]:
    command = [sys.executable, "-m", "server", "--model", plan.model, *list_common_flags(plan)]
    return [*command, *plan.our_options]


def _make_vllm_command(plan: Plan) -> list[str]:
    folder = resolve_model(plan.model).path_or_hub_id
    module = "vllm.entrypoints.openai.api_server"
    command = [sys.executable, "-m", module, "--model", folder, *list_common_flags(plan)]
    own = {
        "disable_log_stats": True,
        "disable_uvicorn_access_log": True,
        "reasoning_config": {"reasoning_start_str": START, "reasoning_end_str": END},
    }
    return [*command, *to_flags(own), *plan.vllm_options]


def list_common_flags(plan: Plan) -> list[str]:
    """Return the flags of both our server and vLLM's."""
    return to_flags(
        {
            "host": HOST,
            "served_model_name": MODEL_NAME,
            "max_model_len": MAX_MODEL_LEN,
            "max_num_seqs": max(plan.loads),
            "enable_prefix_caching": False,  # rounds repeat the beginnings of their prompts
        }
    )


def _make_llama_command(plan: Plan) -> list[str]:
    package = EMBEDDED_MODELS.get(plan.model)
    if not isinstance(package, GgufPackage):
        raise FileNotFoundError(f"{plan.model} has no GGUF file")
    if not LLAMA_PYTHON.exists():
        raise FileNotFoundError("llama.cpp is not installed: deploy/client-env.sh llama-cpp")
    file = find_gguf(plan.model, package)
    command = [str(LLAMA_PYTHON), str(LLAMA_SCRIPT), "--model", str(file)]
    return [*command, "--slots", str(max(plan.loads))]


_COMMANDS = {
    OURS: _make_our_command,
    ELSEWHERE: _make_our_command,
    VLLM: _make_vllm_command,
    LLAMA: _make_llama_command,
}
