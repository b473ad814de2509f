"""Gathers hidden tokens where vLLM's output processor hands them to a request's reader."""

from typing import Any

from vllm.v1.engine.output_processor import OutputProcessor, RequestState

from server.engine.gathering import TokenGatherer
from thinking.markers.profile import MarkerProfile


def gather_tokens(
    processor: OutputProcessor, request_id: str, profile: MarkerProfile
) -> TokenGatherer | None:
    """Put a gatherer between a running request and its reader.

    Returns:
        The gatherer; None if the request has ended.
    """
    state = _find_state(processor, request_id)
    if state is None:
        return None
    gatherer = TokenGatherer(profile.end_token_ids[-1])
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
    return gatherer


def _find_state(processor: OutputProcessor, request_id: str) -> RequestState | None:
    # Without inserting an entry: it is a defaultdict.
    for internal_id in processor.external_req_ids.get(request_id, ()):
        return processor.request_states.get(internal_id)
    return None
