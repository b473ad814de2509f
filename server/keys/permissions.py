"""Permission checks for a key. Knows no endpoint."""

from server.errors.api import NotAllowedError, UnknownModelError
from server.keys.key import AccessKey


def check_model(
    key: AccessKey, served: str, requested: str | None, param: str | None = "model"
) -> None:
    """Raise UnknownModelError unless `requested` is the served model and `key` may use it.

    `requested` None: the served model.

    Raises:
        UnknownModelError: the model does not exist, or `key` may not use it; the caller cannot
            tell the two apart.
    """
    is_allowed = key.may_use(served)
    if not is_allowed or requested not in (None, served):
        raise UnknownModelError(served if is_allowed else None, param)


def check_shows_thoughts(key: AccessKey, *, server_shows: bool, param: str | None) -> None:
    """Raise NotAllowedError if thoughts may not be shown.

    Raises:
        NotAllowedError: the server shows no thoughts, or none to this key.
    """
    if not server_shows:
        raise NotAllowedError("this server does not show thoughts", param=param)
    if not key.shows_thoughts:
        raise NotAllowedError("this key may not see thoughts", param=param)
