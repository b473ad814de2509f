"""First steps of every endpoint that generates: read the body, prepare the work, admit it.

An endpoint gets its work only from :func:`begin`, so none can skip one of these checks. Does not
know what the endpoints generate, nor how they write it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from fastapi import Request

from server.account.account import RequestAccount, get_account
from server.api.body import StrictModel, read_body
from server.api.fields.thinking import ThinkingBody, read_thinking_body
from server.dialects.resolution import ThinkingParams
from server.http.disconnect import run_while_connected
from server.http.streaming import EventStream
from server.keys.sealed_thoughts import ThoughtSeal
from server.model.served_model import ServedModel
from server.quotas.turns.request import TurnRequest
from server.reply.admit import Prepared, Reserved, admit, reserve
from server.reply.prepare import prepare_reply
from server.reply.reply import Reply
from server.reply.request import ReplyRequest
from server.state import Services, get_services

BodyT = TypeVar("BodyT", bound=StrictModel)
ReadT = TypeVar("ReadT", bound=StrictModel, covariant=True)
ThinkingBodyT = TypeVar("ThinkingBodyT", bound=ThinkingBody)
WorkT = TypeVar("WorkT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class RequestContext(Generic[ReadT]):
    """A request with its parsed body, its account, and the model and services that serve it.

    `thinking` holds the body's thinking parameters; it is empty if the endpoint reads no dialects.
    `turn` is the turn that the request draws on; `turn_left` what that has left for each choice, if
    it is less than the request asks for.
    """

    request: Request
    services: Services
    model: ServedModel
    account: RequestAccount
    body: ReadT
    thinking: ThinkingParams
    turn: TurnRequest | None = None
    turn_left: int | None = None

    @property
    def seal(self) -> ThoughtSeal:
        """Seal for the thoughts of the caller's key."""
        return self.services.seal.of(self.account.key.key_id)

    async def prepare(self, request: ReplyRequest) -> Prepared[Reply]:
        """Check and plan one reply; see :func:`server.reply.prepare.prepare_reply`."""
        if self.turn_left is not None:
            request = replace(request, turn_left=self.turn_left)
        return await prepare_reply(self.services, self.model, self.account, request)

    async def wait(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return the result of `work`, which is cancelled if the client leaves."""
        return await run_while_connected(self.request, work)

    def stream(self, events: AsyncGenerator[bytes, None]) -> EventStream:
        """Return a response that sends `events`, with keep-alive comments during long pauses."""
        return EventStream(events, self.services.settings.keep_alive_seconds)


async def begin(
    request: Request,
    body: type[ThinkingBodyT],
    prepare: Callable[[RequestContext[ThinkingBodyT]], Awaitable[Prepared[WorkT]]],
) -> tuple[RequestContext[ThinkingBodyT], WorkT]:
    """Read a body that may have thinking fields, prepare its work, and admit it.

    Raises:
        ApiError: the model is not ready, the body is invalid, or the request is not admitted.
    """
    context = await read_request(request, body)
    context, prepared = await prepare_work(context, prepare)
    return context, await admit_prepared(context, prepared)


async def prepare_work(
    context: RequestContext[ThinkingBodyT],
    prepare: Callable[[RequestContext[ThinkingBodyT]], Awaitable[Prepared[WorkT]]],
) -> tuple[RequestContext[ThinkingBodyT], Prepared[WorkT]]:
    """Prepare the work of a request, within the budget of its turn if it names one."""
    turn = context.body.find_turn()
    if turn is None:
        return context, await prepare(context)
    return await _prepare_in_turn(replace(context, turn=turn), turn, prepare)


async def _prepare_in_turn(
    context: RequestContext[ThinkingBodyT],
    turn: TurnRequest,
    prepare: Callable[[RequestContext[ThinkingBodyT]], Awaitable[Prepared[WorkT]]],
) -> tuple[RequestContext[ThinkingBodyT], Prepared[WorkT]]:
    """Prepare work that draws on the budget of a turn, and reserve its part of that.

    First it is planned as if the turn had enough left, which says how much it may use; if that is
    more than the turn has left, it is planned again within what there is, shared by all choices.
    """
    account, turns = context.account, context.services.turns
    num_ignored = len(account.ignored_fields)
    prepared = await prepare(context)
    lease = await turns.reserve(account, turn, prepared.demand)
    if lease.amount < prepared.demand.reasoning_tokens:
        del account.ignored_fields[num_ignored:]  # they are noted again
        context = replace(context, turn_left=lease.amount // prepared.demand.num_choices)
        prepared = await prepare(context)
        await turns.reduce(lease, prepared.demand.reasoning_tokens)
    return context, prepared


async def begin_without_dialects(
    request: Request,
    body: type[BodyT],
    prepare: Callable[[RequestContext[BodyT]], Awaitable[Prepared[WorkT]]],
) -> tuple[RequestContext[BodyT], WorkT]:
    """Read a body without the dialects' thinking fields, prepare its work, and admit it.

    Raises:
        ApiError: see :func:`begin`.
    """
    services = get_services(request)
    services.slot.check_ready()
    parsed = await read_body(request, body)
    account = _name_endpoint(request)
    model = services.slot.choose_model(account, parsed.requested_model)
    context = RequestContext(request, services, model, account, parsed, ThinkingParams())
    return context, await admit_prepared(context, await prepare(context))


async def read_request(
    request: Request, body: type[ThinkingBodyT]
) -> RequestContext[ThinkingBodyT]:
    """Read a body that may have thinking fields; prepare nothing.

    Raises:
        ApiError: the model is not ready, or the body is invalid.
    """
    services = get_services(request)
    services.slot.check_ready()
    parsed, thinking = await read_thinking_body(request, body)
    account = _name_endpoint(request)
    model = services.slot.choose_model(account, parsed.requested_model)
    return RequestContext(request, services, model, account, parsed, thinking)


def _name_endpoint(request: Request) -> RequestAccount:
    """Return the request's account, which knows its endpoint from now on."""
    account = get_account(request)
    account.endpoint = getattr(request.scope.get("route"), "path", account.endpoint)
    return account


async def admit_prepared(context: RequestContext[Any], prepared: Prepared[WorkT]) -> WorkT:
    """Wait until the work may begin; see :func:`server.reply.admit.admit`."""
    return await context.wait(admit(context.services, context.account, prepared))


async def reserve_prepared(
    context: RequestContext[Any], prepared: Prepared[WorkT]
) -> Reserved[WorkT]:
    """Reserve what the work needs, and do not wait; see :func:`server.reply.admit.reserve`."""
    return await context.wait(reserve(context.services, context.account, prepared))
