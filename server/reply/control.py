"""Gives orders to a running reply: what may be granted, and what took effect.

Holds the ceilings and reserves quotas; the orders are carried out by the governors of the choices.
Knows no wire format.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.errors.api import ApiError, BadRequestError
from server.generation.governing import ChoiceGovernor
from server.generation.orders import (
    NoPlaceError,
    NotRunningError,
    Order,
    OrderOutcome,
    OrderRefusedError,
    TextTooLongError,
)
from server.keys.key import AccessKey
from server.model.served_model import ServedModel
from server.running_replies.registry import RunningReply
from server.state import Services
from thinking.command import CommandAction


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """Order of a caller to a running reply.

    `num_tokens` is for EXTEND, `text` for ADD. `choice` None: all choices.
    """

    reply_id: str
    action: CommandAction
    num_tokens: int = 0
    text: str = ""
    choice: int | None = None


@dataclass(frozen=True, slots=True)
class ControlledChoice:
    """A choice after an order; `refusal` None: it took effect.

    `num_granted` are tokens: of budget for EXTEND, of text for ADD.
    """

    index: int
    outcome: OrderOutcome
    num_granted: int
    refusal: OrderRefusedError | None


class ReplyNotFoundError(ApiError):
    """404: the same for a reply that is unknown, over, or another key's."""

    def __init__(self) -> None:
        super().__init__(
            404,
            "no reply with this id is running: it has ended, or its id is another one (it is in "
            "the first chunk of a stream; x-request-id of the request works too)",
            param="id",
            code="reply_not_found",
        )


class NotThinkingNowError(ApiError):
    """409: no thought is running that could still change."""

    def __init__(self, reason: str) -> None:
        super().__init__(409, reason, param="action", code="not_thinking")


async def control_reply(
    services: Services, key: AccessKey, request: ControlRequest
) -> Sequence[ControlledChoice]:
    """Carry out `request` and return the choices that it names; it took effect in one at least.

    Raises:
        ApiError: 400, 404, 409 or 429; nothing has changed then.
    """
    reply = services.running.find(request.reply_id, key.key_id)
    if reply is None:
        raise ReplyNotFoundError
    governors = _choose_governors(reply, request.choice)
    words = await _encode_words(governors[0].model, request)
    async with reply.turns:
        orders = {governor: _make_order(governor, request, words) for governor in governors}
        if request.action is CommandAction.EXTEND:
            _check_grants(governors, orders)
            await _reserve(services, reply, orders)
        refusals = {governor: await _post(governor, order) for governor, order in orders.items()}
        if request.action is not CommandAction.ADD:
            await _wait(orders, refusals)
    # The end of a line may be long in coming; other orders need not wait for it.
    await _wait(orders, refusals)
    choices = [
        ControlledChoice(
            reply.governors.index(governor),
            governor.outcome,
            len(order.words) or order.num_tokens,
            refusals[governor],
        )
        for governor, order in orders.items()
    ]
    if all(choice.refusal is not None for choice in choices):
        raise _to_api_error(choices)
    return choices


def _choose_governors(reply: RunningReply, choice: int | None) -> Sequence[ChoiceGovernor]:
    if choice is None:
        return reply.governors
    if choice >= len(reply.governors):
        raise BadRequestError(
            f"choice: this reply has {len(reply.governors)} choices, counted from 0",
            param="choice",
            code="invalid_value",
        )
    return [reply.governors[choice]]


async def _encode_words(model: ServedModel, request: ControlRequest) -> tuple[int, ...]:
    """Return the tokens of the caller's words, which end a line.

    Raises:
        BadRequestError: the text has a control token of the model in it.
    """
    if request.action is not CommandAction.ADD:
        return ()
    words = await model.encode_words(request.text.removesuffix("\n") + "\n")
    if words is None:
        raise BadRequestError(
            "text: should be plain text, without a thinking marker or any other control token of "
            "this model",
            param="text",
            code="invalid_value",
        )
    return words


def _make_order(governor: ChoiceGovernor, request: ControlRequest, words: tuple[int, ...]) -> Order:
    if request.action is not CommandAction.EXTEND:
        return Order(request.action, words=words, text=request.text)
    budget = governor.job.prompt.budget
    granted = max(0, min(request.num_tokens, budget.ceiling - governor.outcome.budget))
    length = budget.max_tokens + governor.num_reply_extended
    return Order(
        request.action,
        num_tokens=granted,
        num_reply_tokens=min(budget.max_reply_tokens, length + granted) - length,
    )


def _check_grants(
    governors: Sequence[ChoiceGovernor], orders: Mapping[ChoiceGovernor, Order]
) -> None:
    """Raise BadRequestError if no choice can be granted anything."""
    if any(order.num_tokens for order in orders.values()):
        return
    budget, name = governors[0].outcome.budget, governors[0].job.prompt.budget.ceiling_of.value
    raise BadRequestError(
        f"tokens: nothing can be granted: the budget ({budget} tokens) is as large as {name} "
        "allows",
        param="tokens",
        code="budget_at_ceiling",
    )


async def _reserve(
    services: Services, reply: RunningReply, orders: Mapping[ChoiceGovernor, Order]
) -> None:
    """Reserve what is granted to choices that can still use it, of the turn and of quotas.

    A turn that has less left lowers what is granted.
    """
    usable = [order for governor, order in orders.items() if governor.may_think]
    num_tokens = sum(order.num_tokens for order in usable)
    if not num_tokens:
        return
    if reply.account.extend_turn is not None:
        num_tokens = await reply.account.extend_turn(num_tokens)
        _share_out(usable, num_tokens)
        if not num_tokens:
            raise BadRequestError(
                "tokens: nothing can be granted: the turn of this request has nothing left",
                param="tokens",
                code="budget_at_ceiling",
            )
    await services.quotas.reserve_more(reply.account, num_tokens, beyond=reply.num_reserved)
    reply.num_reserved += num_tokens


def _share_out(orders: Sequence[Order], num_tokens: int) -> None:
    """Lower what `orders` add so that it is `num_tokens` together, the first ones first."""
    for order in orders:
        order.num_tokens = min(order.num_tokens, num_tokens)
        order.num_reply_tokens = min(order.num_reply_tokens, order.num_tokens)
        num_tokens -= order.num_tokens


async def _post(governor: ChoiceGovernor, order: Order) -> OrderRefusedError | None:
    if order.action is CommandAction.EXTEND and not order.num_tokens:
        return CeilingReachedError()
    try:
        await governor.post(order)
    except OrderRefusedError as refusal:
        return refusal
    return None


async def _wait(
    orders: Mapping[ChoiceGovernor, Order],
    refusals: dict[ChoiceGovernor, OrderRefusedError | None],
) -> None:
    """Wait until each order has taken effect or was refused."""
    try:
        for governor, order in orders.items():
            if refusals[governor] is None:
                try:
                    await order.outcome
                except OrderRefusedError as refusal:
                    refusals[governor] = refusal
    except asyncio.CancelledError:
        for order in orders.values():
            order.outcome.cancel()  # whoever asked has left
        raise


class CeilingReachedError(OrderRefusedError):
    """The budget of this choice is at its ceiling; that of another one may not be."""


def _to_api_error(choices: Sequence[ControlledChoice]) -> ApiError:
    """Return the error for an order that took effect nowhere."""
    refusal = choices[0].refusal
    if all(isinstance(choice.refusal, NotRunningError) for choice in choices):
        return ReplyNotFoundError()
    if isinstance(refusal, TextTooLongError):
        return BadRequestError(
            f"text: is too long for what is left of the budget: it has {choices[0].num_granted} "
            f"tokens, and {refusal.room} would fit; extend the budget first",
            param="text",
            code="text_too_long",
        )
    if isinstance(refusal, NoPlaceError):
        return NotThinkingNowError(
            "this reply searches over several thoughts at a time: nothing can be added to them"
        )
    return NotThinkingNowError(
        "this reply is not thinking now: its thought has ended or is being closed, and no other "
        "can begin"
    )
