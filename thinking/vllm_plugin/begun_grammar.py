"""Lets a grammar go on in the middle of an answer, where a request continues another's reply.

vLLM starts a grammar at its beginning (``vllm/v1/structured_output/__init__.py``, 0.32). A request
whose plan has prior tokens may begin inside the answer: its grammar has to accept those of them
that are the answer's first. Runs in the engine's core.
"""

from functools import wraps
from typing import Any

from vllm.v1.structured_output import StructuredOutputManager

from thinking.tracker import ThinkingTracker
from thinking.vllm_plugin.worker_config import make_tracker_tables, read_plan

_MARK = "goes_on_in_answers"


class BegunAnswerError(ValueError):
    """The answer's tokens so far do not fit its grammar."""


def let_grammars_go_on() -> None:
    """Have each new grammar read the answer's tokens that its plan knows. Safe to call twice."""
    create = StructuredOutputManager._create_grammar
    if hasattr(create, _MARK):
        return

    @wraps(create)
    def create_begun(manager: StructuredOutputManager, request: Any) -> Any:
        grammar = create(manager, request)
        plan = read_plan(request.sampling_params)
        if plan is not None and plan.prior_token_ids:
            tracker = ThinkingTracker(make_tracker_tables(manager.vllm_config), plan)
            answer = tracker.prior_answer_token_ids
            if answer and not grammar.accept_tokens(request.request_id, answer):
                raise BegunAnswerError("the answer so far does not fit its grammar")
        return grammar

    setattr(create_begun, _MARK, True)
    StructuredOutputManager._create_grammar = create_begun
