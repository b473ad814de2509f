"""Grammars in the engine's core, through vLLM's own manager: of plans, begun, and of others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("vllm")

from vllm import SamplingParams
from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from tests.examples import examples
from tests.server.conftest import STOP_ID, TOKENIZER, VOCAB_SIZE, ids
from tests.thinking.vllm_plugin.stock_config import make_stock_config, save_model
from thinking.markers.boundaries import find_boundary_token_ids
from thinking.markers.profile import MarkerProfile
from thinking.plan import EXTRA_ARGS_KEY, ThinkingPlan, make_plan
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables
from thinking.vllm_plugin import engine_setup, stock
from thinking.vllm_plugin.begun_grammar import BegunAnswerError
from thinking.vllm_plugin.reasoning_gate import PlannedGate, gate_arguments

pytestmark = pytest.mark.slow  # vLLM takes ten seconds to import

PROMPT = ids("<|im_start|>user\nHow many?<|im_end|>\n")
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "s": {"type": "string"}},
        "required": ["n", "s"],
    }
)
CONSTRAINTS: list[dict[str, Any]] = [
    {"json": SCHEMA},
    {"regex": "(yes|no|[0-9]{2,4})!?"},
    {"choice": ["the one", "the other", "then"]},
    {"grammar": 'root ::= "a" root "b" | "c"'},
]
ALLOWED_OF_ALL = np.ones(VOCAB_SIZE, dtype=bool)


class Grammars:
    """The structured outputs of an engine: of a stock one, or of our own server's."""

    def __init__(self, folder: Path, *, is_stock: bool, **options: Any) -> None:
        config = make_stock_config(folder, **options)
        self.is_stock = is_stock
        if not is_stock:
            engine_setup.start_grammars_at_answer(config.structured_outputs_config)
            config.structured_outputs_config.disable_any_whitespace = True
        self.profile = MarkerProfile.from_dict(config.additional_config[EXTRA_ARGS_KEY])
        self.tables = TrackerTables(self.profile, find_boundary_token_ids(TOKENIZER))
        self.manager = StructuredOutputManager(config)
        self.config = config

    def begin(
        self, constraint: dict[str, Any], plan: ThinkingPlan | None, prompt: tuple[int, ...]
    ) -> "Running":
        """Return a request whose grammar is compiled, as the core has it."""
        params = SamplingParams(
            structured_outputs=StructuredOutputsParams(**constraint),
            extra_args=None if plan is None else {EXTRA_ARGS_KEY: plan.to_dict()},
            max_tokens=500,
        )
        params.update_from_generation_config({}, STOP_ID)
        params.verify(
            self.config.model_config, None, self.config.structured_outputs_config, TOKENIZER
        )
        kwargs = None
        if plan is not None and not self.is_stock:
            kwargs = gate_arguments(self.profile, plan)
        request = Request("r", list(prompt), params, None, reasoning_parser_kwargs=kwargs)
        self.manager.grammar_init(request)
        return Running(self.manager, request)


class Running:
    """A request in the core."""

    def __init__(self, manager: StructuredOutputManager, request: Request) -> None:
        self._manager, self._request = manager, request
        structured = request.structured_output_request
        structured._grammar.exception(timeout=60)  # waits
        self.structured = structured

    @property
    def error(self) -> Exception | None:
        """Why the request is ended by the scheduler; None: it is not."""
        grammar = self.structured.grammar
        return grammar if isinstance(grammar, Exception) else None

    def find_allowed(self) -> NDArray[np.bool_]:
        """Return which tokens may come next, bool ``[vocab]``."""
        rows = self._manager.grammar_bitmask({"r": self._request}, ["r"], {})
        bits = np.unpackbits(rows[0].view(np.uint8), bitorder="little")
        return bits[:VOCAB_SIZE].astype(bool)

    def accept(self, token_id: int) -> None:
        """Read a sampled token, as the scheduler does."""
        self._request.append_output_token_ids(token_id)
        assert self._manager.accept_tokens(self._request, [token_id])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", autouse=True)
def plugged() -> Any:
    """Set the plugin up, for this module."""
    with pytest.MonkeyPatch.context() as patches:
        for name in ("_create_grammar", "_get_reasoner"):
            patches.setattr(StructuredOutputManager, name, getattr(StructuredOutputManager, name))
        patches.setattr(EngineArgs, "create_engine_config", EngineArgs.create_engine_config)
        stock.set_up()
        yield


@pytest.fixture(scope="module", params=[True, False], ids=["stock", "own"])
def grammars(request: pytest.FixtureRequest, folder: Path) -> Grammars:
    return Grammars(folder, is_stock=request.param)


def write(
    grammars: Grammars, constraint: dict[str, Any], plan: ThinkingPlan, data: st.DataObject
) -> tuple[list[int], list[NDArray[np.bool_]]]:
    """Let any tokens be sampled under plan and grammar: all tokens, and what each place allowed."""
    tracker = ThinkingTracker(grammars.tables, plan)
    running = grammars.begin(constraint, plan, PROMPT)
    tokens: list[int] = []
    allowed: list[NDArray[np.bool_]] = []
    num_answer = data.draw(st.integers(1, 12), label="answer tokens")
    while len(tokens) < plan.budget + num_answer:
        allowed.append(running.find_allowed())
        if tracker.is_hidden:
            forced = tracker.forced_token_id
            token_id = ids("x")[0] if forced is None else forced
        else:
            choices = allowed[-1].nonzero()[0]
            token_id = int(choices[data.draw(st.integers(0, len(choices) - 1))])
        if token_id == STOP_ID:
            break
        tracker.advance(token_id)
        running.accept(token_id)
        tokens.append(token_id)
    else:
        allowed.append(running.find_allowed())
    return tokens, allowed


@settings(max_examples=examples(40))
@given(data=st.data())
def test_a_reply_that_was_cut_anywhere_goes_on_under_the_same_grammar(
    grammars: Grammars, data: st.DataObject
) -> None:
    constraint = data.draw(st.sampled_from(CONSTRAINTS))
    plan = make_plan(grammars.profile, data.draw(st.sampled_from([0, 12, 20]), label="budget"))
    tokens, allowed = write(grammars, constraint, plan, data)
    cut = data.draw(st.integers(0, len(tokens)), label="cut")
    prior = tuple(tokens[:cut])
    rest = ThinkingPlan.from_dict(plan.to_dict() | {"prior_token_ids": list(prior)})
    running = grammars.begin(constraint, rest, PROMPT + prior)
    assert running.error is None
    for place in range(cut, len(tokens)):
        assert (running.find_allowed() == allowed[place]).all()
        running.accept(tokens[place])
    assert (running.find_allowed() == allowed[len(tokens)]).all()


def test_a_thought_is_free_and_its_answer_is_not(grammars: Grammars) -> None:
    running = grammars.begin({"json": SCHEMA}, make_plan(grammars.profile, 20), PROMPT)
    assert (running.find_allowed() == ALLOWED_OF_ALL).all()
    running = grammars.begin({"json": SCHEMA}, make_plan(grammars.profile, 0), PROMPT)
    assert running.find_allowed().nonzero()[0].tolist() == list(ids("{"))


def test_an_answer_that_does_not_fit_ends_its_request_only(grammars: Grammars) -> None:
    plan = ThinkingPlan.from_dict(ThinkingPlan().to_dict() | {"prior_token_ids": list(ids('{"m'))})
    other = grammars.begin({"json": SCHEMA}, ThinkingPlan(), PROMPT)
    wrong = grammars.begin({"json": SCHEMA}, plan, PROMPT + ids('{"m'))
    assert isinstance(wrong.error, BegunAnswerError)
    assert other.find_allowed()[ids("{")[0]]
    assert grammars.begin({"json": SCHEMA}, ThinkingPlan(), PROMPT).error is None


class TestBesideVllmsOwnRequests:
    def test_whitespace_stays_as_the_operator_has_it(self, folder: Path) -> None:
        grammars = Grammars(folder, is_stock=True)
        for plan, is_free in ((None, True), (ThinkingPlan(), False)):
            running = grammars.begin({"json": SCHEMA}, plan, PROMPT)
            running.accept(ids("{")[0])
            assert running.find_allowed()[ids("\n")[0]] == is_free

    def test_each_has_its_backend(self, folder: Path) -> None:
        """Here the first request is one that xgrammar cannot keep; vLLM takes another for it."""
        grammars = Grammars(folder, is_stock=True)
        schema = '{"type": "array", "items": {"type": "integer", "multipleOf": 3}}'
        others = grammars.begin({"json": schema}, None, PROMPT)
        assert "Guidance" in type(others.structured.grammar).__name__
        running = grammars.begin({"json": SCHEMA}, ThinkingPlan(), PROMPT)
        assert "Xgrammar" in type(running.structured.grammar).__name__
        assert running.find_allowed().nonzero()[0].tolist() == list(ids("{"))
        assert others.find_allowed()[ids("[")[0]]

    def test_each_has_its_gate(self, folder: Path) -> None:
        grammars = Grammars(folder, is_stock=True, tokens_only=False, reasoning_parser="qwen3")
        others = grammars.begin({"json": SCHEMA}, None, PROMPT)
        assert others.find_allowed().sum() > 1
        assert not isinstance(others.structured.reasoner, PlannedGate)
        running = grammars.begin({"json": SCHEMA}, ThinkingPlan(), PROMPT)
        assert running.find_allowed().nonzero()[0].tolist() == list(ids("{"))
        assert isinstance(running.structured.reasoner, PlannedGate)

    def test_arguments_for_another_parser_are_not_read_as_a_plan(self, folder: Path) -> None:
        grammars = Grammars(folder, is_stock=True)
        params = SamplingParams(structured_outputs=StructuredOutputsParams(json=SCHEMA))
        params.structured_outputs._backend = "xgrammar"
        kwargs = {"chat_template_kwargs": {"plan": 1, "thinking": True}}
        request = Request("r", list(PROMPT), params, None, reasoning_parser_kwargs=kwargs)
        grammars.manager.grammar_init(request)
        assert Running(grammars.manager, request).find_allowed()[ids("{")[0]]
