"""``GET /v1/models``: the models that are served, under each of their names.

Anthropic's clients use the same path and get Anthropic's form. Loads no model.
"""

from typing import Any

from fastapi import APIRouter, Request

from server.account.account import get_account
from server.api.models.anthropic import to_model_info, to_model_list
from server.errors.shapes import is_anthropic_request
from server.keys.key import AccessKey
from server.keys.permissions import check_model, select_names
from server.model.served_model import ServedModel
from server.state import get_services

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", summary="List models")
async def list_models(request: Request) -> dict[str, Any]:
    """List the names that the key may use, each with the context length and thinking limits."""
    slot, key = get_services(request).slot, get_account(request).key
    slot.check_ready()
    named = [(model, name) for model in slot.models for name in select_names(key, model.names)]
    if is_anthropic_request(request.scope):
        return to_model_list(named, key)
    shows = _shows_thoughts(request)
    return {
        "object": "list",
        "data": [_to_card(model, name, key, shows=shows) for model, name in named],
    }


@router.get("/{model_name:path}", summary="Retrieve a model")
async def retrieve_model(request: Request, model_name: str) -> dict[str, Any]:
    """Retrieve a served model by a name, with its context length and thinking limits."""
    account = get_account(request)
    model = get_services(request).slot.choose_model(account, model_name)
    key = account.key
    check_model(key, model.names, model_name, param=None)
    # With --accept-any-model-name it may be a name that is not served; such a one is not repeated.
    usable = select_names(key, model.names)
    name = model_name if model_name in usable else usable[0]
    if is_anthropic_request(request.scope):
        return to_model_info(model, name, key)
    return _to_card(model, name, key, shows=_shows_thoughts(request))


def _shows_thoughts(request: Request) -> bool:
    key = get_account(request).key
    return get_services(request).settings.show_thoughts and key.shows_thoughts


def _to_card(model: ServedModel, name: str, key: AccessKey, *, shows: bool) -> dict[str, Any]:
    ceiling = key.combine_ceiling(model.policy.model_ceiling)
    context = model.engine.max_model_len
    return {
        "id": name,
        "object": "model",
        "created": model.created,
        "owned_by": "thinking-server",
        # vLLM's fields; OpenAI's older clients expect a list in `permission`.
        "root": name,
        "parent": None,
        "max_model_len": context,
        "permission": [],
        # The name that OpenRouter's clients use.
        "context_length": context,
        "thinking": {
            "native": model.engine.profile.native,
            "default_tokens": model.policy.default_tokens,
            "max_tokens": ceiling,
            # What each effort asks for; null: as many as fit.
            "effort_tokens": dict(model.policy.effort_tokens),
            "include_reasoning": shows,
        },
    }
