"""Grammars of requests with a plan in a stock vLLM, beside those of vLLM's own requests.

vLLM has one backend and one reasoning parser for all requests of an engine
(``vllm/v1/structured_output/__init__.py``, 0.32): those that an operator chooses for vLLM's own
API. A request with a plan has the gate of its plan instead, and a grammar of xgrammar, with which
front ends try constraints. Runs in the engine's core. Does nothing where the configuration has the
gate for all requests, as in engines of our own server.
"""

from functools import wraps
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from vllm.v1.structured_output import StructuredOutputManager
from vllm.v1.structured_output.backend_xgrammar import XgrammarBackend

from thinking.plan import ThinkingPlan
from thinking.vllm_plugin.reasoning_gate import GATE_NAME, PlannedGate
from thinking.vllm_plugin.worker_config import make_tracker_tables, read_plan

_MARK = "keeps_planned_grammars_apart"
_lock = Lock()
_backends: WeakKeyDictionary[StructuredOutputManager, XgrammarBackend] = WeakKeyDictionary()


def keep_planned_grammars_apart() -> None:
    """Have requests with a plan get grammar and gate from here. Safe to call twice."""
    create, get = StructuredOutputManager._create_grammar, StructuredOutputManager._get_reasoner
    if hasattr(get, _MARK):
        return

    @wraps(create)
    def create_grammar(manager: StructuredOutputManager, request: Any) -> Any:
        plan = read_plan(request.sampling_params)
        if plan is None or _has_gate_for_all(manager):
            return create(manager, request)
        return _start_planned(manager, request, plan)

    @wraps(get)
    def get_reasoner(manager: StructuredOutputManager, request: Any) -> Any:
        structured = request.structured_output_request
        if structured is not None and isinstance(structured.reasoner, PlannedGate):
            return structured.reasoner
        return get(manager, request)

    setattr(get_reasoner, _MARK, True)
    StructuredOutputManager._create_grammar = create_grammar
    StructuredOutputManager._get_reasoner = get_reasoner


def _has_gate_for_all(manager: StructuredOutputManager) -> bool:
    name = manager.vllm_config.structured_outputs_config.reasoning_parser
    return bool(name == GATE_NAME)


def _start_planned(manager: StructuredOutputManager, request: Any, plan: ThinkingPlan) -> Any:
    """Set the request's gate and return its grammar."""
    structured = request.structured_output_request
    structured.reasoner = PlannedGate(
        manager.tokenizer, make_tracker_tables(manager.vllm_config), plan
    )
    kind, text = structured.structured_output_key
    stop_token_ids = request.sampling_params.all_stop_token_ids
    return _get_backend(manager).compile_grammar(kind, text, stop_token_ids=stop_token_ids)


def _get_backend(manager: StructuredOutputManager) -> XgrammarBackend:
    with _lock:  # grammars are compiled by several threads
        if manager not in _backends:
            config = manager.vllm_config
            backend = XgrammarBackend(
                config,
                tokenizer=manager.tokenizer,
                vocab_size=config.model_config.get_vocab_size(),
            )
            # As in our own server: small models would write line breaks up to the token limit.
            backend.disable_any_whitespace = True
            _backends[manager] = backend
        return _backends[manager]
