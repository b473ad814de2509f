"""The served model in Anthropic's form, for ``GET /v1/models``. Checks no permissions."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from server.keys.key import AccessKey
from server.model.served_model import ServedModel


def to_model_list(named: Sequence[tuple[ServedModel, str]], key: AccessKey) -> dict[str, Any]:
    """Return a page with all models under their names."""
    infos = [to_model_info(model, name, key) for model, name in named]
    ids = [info["id"] for info in infos] or [None]
    return {"data": infos, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}


def to_model_info(model: ServedModel, name: str, key: AccessKey) -> dict[str, Any]:
    """Return the model under `name`, with its context length and thinking limits."""
    created = datetime.fromtimestamp(model.created, UTC)
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": model.engine.max_model_len,
        "max_tokens": model.engine.max_model_len,
        "thinking": {
            "native": model.engine.profile.native,
            "default_tokens": model.policy.default_tokens,
            "max_tokens": key.combine_ceiling(model.policy.model_ceiling),
        },
    }
