"""What a key's holder may not do, as the error that says so. Knows no endpoint."""

from server.errors.api import NotAllowedError, UnknownModelError
from server.keys.key import AccessKey


def check_model(
    key: AccessKey, served: str, asked: str | None, param: str | None = "model"
) -> None:
    """Return where `key` may use the model `asked`, which is the one served; None: that one.

    Raises:
        UnknownModelError: not there, or not for this key: the same to who asks.
    """
    is_allowed = key.may_use(served)
    if not is_allowed or asked not in (None, served):
        raise UnknownModelError(served if is_allowed else None, param)


def check_shows_thoughts(key: AccessKey, *, server_shows: bool, param: str | None) -> None:
    """Return where thoughts may be shown.

    Raises:
        NotAllowedError: the server shows none, or none to this key.
    """
    if not server_shows:
        raise NotAllowedError("this server does not show thoughts", param=param)
    if not key.shows_thoughts:
        raise NotAllowedError("this key may not see thoughts", param=param)
