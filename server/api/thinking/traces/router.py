"""``/v1/thinking/feedback`` and ``/v1/thinking/traces``. Does not know how traces are stored."""

import json
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server.account.account import get_account
from server.api.body import read_body
from server.api.openapi import document_body
from server.api.thinking.traces.protocol import FeedbackRequest, to_trace_query
from server.errors.api import ApiError, BadRequestError, UnavailableError
from server.state import Services, get_services
from server.traces.recorder import TraceRecorder
from server.traces.store import (
    TooManyVerdictsError,
    TraceStoreError,
    UnknownChoiceError,
    UnknownTraceError,
)

NEXT_HEADER = "x-next-after"
router = APIRouter(prefix="/v1/thinking", tags=["traces"])


@router.post(
    "/feedback",
    summary="Create feedback",
    openapi_extra=document_body(FeedbackRequest),
)
async def give_feedback(request: Request) -> Response:
    """Store a verdict on an answer with the trace of its completion, which must have ended."""
    recorder = _get_recorder(get_services(request))
    feedback = await read_body(request, FeedbackRequest)
    verdict = feedback.to_verdict()
    try:
        key = get_account(request).key
        await recorder.add_verdict(feedback.id, verdict, None if key.reads_traces else key.key_id)
    except UnknownTraceError:
        raise _unknown_trace_error("id") from None
    except UnknownChoiceError as error:
        message = f"choice: this completion has {error.num_choices} choices, counted from 0"
        raise BadRequestError(message, param="choice", code="invalid_value") from None
    except TooManyVerdictsError:
        message = "verifier: this choice already has verdicts of too many verifiers"
        raise BadRequestError(message, param="verifier", code="too_many_verdicts") from None
    except TraceStoreError:
        raise _store_failed_error() from None
    return JSONResponse(
        {
            "id": feedback.id,
            "object": "thinking.feedback",
            "choice": verdict.choice,
            "score": verdict.score,
        }
    )


@router.get("/traces", summary="List traces")
async def read_traces(request: Request) -> Response:
    """List traces in pages, as JSON lines.

    Query parameters: `limit`, `after` (a `seq`), `since` and `verdict` (good, bad or none). If
    there are more traces, the header `x-next-after` has the `after` of the next page.
    """
    services = get_services(request)
    recorder = _get_recorder(services)
    services.trace_access.check(request)
    query = to_trace_query(request.query_params)
    try:
        page = await recorder.read_page(query)
    except TraceStoreError:
        raise _store_failed_error() from None
    lines = "".join(f"{json.dumps(trace)}\n" for trace in page.traces)
    headers = {"cache-control": "no-store"}
    if page.next_after is not None:
        headers[NEXT_HEADER] = str(page.next_after)
    return Response(lines, media_type="application/x-ndjson", headers=headers)


@router.delete("/traces/{trace_id}", summary="Delete a trace", status_code=HTTPStatus.NO_CONTENT)
async def delete_trace(request: Request, trace_id: str) -> Response:
    """Delete a trace and its verdicts. Their data is overwritten in the file."""
    services = get_services(request)
    recorder = _get_recorder(services)
    services.trace_access.check(request)
    try:
        await recorder.delete(trace_id)
    except UnknownTraceError:
        raise _unknown_trace_error(None) from None
    except TraceStoreError:
        raise _store_failed_error() from None
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _get_recorder(services: Services) -> TraceRecorder:
    if services.traces is None:
        message = "this server keeps no traces; its operator can enable them: --trace-store PATH"
        raise ApiError(404, message, code="traces_off")
    return services.traces


def _unknown_trace_error(param: str | None) -> ApiError:
    message = (
        "no trace has this id: the completion has not ended or was requested with store: false, or "
        "the trace was dropped under load or deleted"
    )
    return ApiError(404, message, param=param, code="trace_not_found")


def _store_failed_error() -> UnavailableError:
    return UnavailableError("the trace store failed", "trace_store_failed")
