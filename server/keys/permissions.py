"""Permission checks for a key. Knows no endpoint."""

from collections.abc import Sequence

from server.errors.api import NotAllowedError, UnknownModelError
from server.keys.key import AccessKey
from server.model.names import ModelNames
from server.model.served_model import ServedModel


def select_names(key: AccessKey, served: ModelNames) -> list[str]:
    """Return the names under which `key` may use the model."""
    return [name for name in served if key.may_use(name)]


def choose_model(
    key: AccessKey, models: Sequence[ServedModel], requested: str | None
) -> ServedModel:
    """Return the model that a request for `requested` goes to, which :func:`check_model` checks.

    Without a name, or with one that no model has, the first model that `key` may use; if it may use
    none, the first. `models` has one at least.
    """
    for model in models:
        if requested and model.names.include(requested):
            return model
    return next((model for model in models if select_names(key, model.names)), models[0])


def check_model(
    key: AccessKey, served: ModelNames, requested: str | None, param: str | None = "model"
) -> None:
    """Raise UnknownModelError unless `requested` is a name of the model that `key` may use.

    `requested` None or "": any such name. With ``--accept-any-model-name`` a name that is not
    served counts as none.

    Raises:
        UnknownModelError: the model does not exist, or `key` may not use it; the caller cannot
            tell the two apart.
    """
    usable = select_names(key, served)
    is_default = not requested or (served.accepts_any and not served.include(requested))
    if not usable or not (is_default or requested in usable):
        raise UnknownModelError(usable[0] if usable else None, param)


def check_shows_thoughts(key: AccessKey, *, server_shows: bool, param: str | None) -> None:
    """Raise NotAllowedError if thoughts may not be shown.

    Raises:
        NotAllowedError: the server shows no thoughts, or none to this key.
    """
    if not server_shows:
        raise NotAllowedError("this server does not show thoughts", param=param)
    if not key.shows_thoughts:
        raise NotAllowedError("this key may not see thoughts", param=param)
