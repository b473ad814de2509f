"""The served model as Anthropic's clients read it, for ``GET /v1/models``."""

from datetime import UTC, datetime
from typing import Any

from server.served_model import ServedModel


def model_list(model: ServedModel) -> dict[str, Any]:
    """A page with the one model."""
    info = model_info(model)
    return {"data": [info], "has_more": False, "first_id": info["id"], "last_id": info["id"]}


def model_info(model: ServedModel) -> dict[str, Any]:
    """The model, its context and its thinking limits."""
    created = datetime.fromtimestamp(model.created, UTC)
    return {
        "type": "model",
        "id": model.engine.model_name,
        "display_name": model.engine.model_name,
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": model.engine.max_model_len,
        "max_tokens": model.engine.max_model_len,
        "thinking": {
            "native": model.engine.profile.native,
            "default_tokens": model.policy.default_tokens,
            "max_tokens": model.policy.model_ceiling,
        },
    }
