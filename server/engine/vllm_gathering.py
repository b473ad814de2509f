"""Gathers hidden tokens where vLLM's output processor hands them to a request's reader."""

from typing import Any

from vllm.v1.engine.output_processor import OutputProcessor, RequestState

from server.engine.protocol import EngineRequest


def gather_tokens(processor: OutputProcessor, request: EngineRequest) -> None:
    """Let the tokens of a running request pass its gatherer; nothing if it has ended."""
    gatherer, state = request.gatherer, _find_state(processor, request.request_id)
    if gatherer is None or state is None:
        return
    make_output = state.make_request_output

    def make_gathered(
        new_token_ids: list[int], pooling_output: Any, finish_reason: Any, *rest: Any, **more: Any
    ) -> Any:
        # vLLM's own `stream_interval` hands over a fixed number of tokens, whatever they are.
        token_ids = gatherer.push(new_token_ids, is_last=finish_reason is not None)
        if token_ids is None:
            return None
        return make_output(token_ids, pooling_output, finish_reason, *rest, **more)

    state.make_request_output = make_gathered


def _find_state(processor: OutputProcessor, request_id: str) -> RequestState | None:
    # Without inserting an entry: it is a defaultdict.
    for internal_id in processor.external_req_ids.get(request_id, ()):
        return processor.request_states.get(internal_id)
    return None
