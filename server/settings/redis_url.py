"""The form of the URL of a Redis. Connects to nothing."""

from urllib.parse import urlsplit

MEMORY_URL = "memory://"  # stands for no Redis
SCHEMES = ("redis", "rediss", "redis+unix")


def find_url_fault(url: str, subject: str) -> str | None:
    """Return what is wrong with the URL of `subject` ("the quota storage"); None: nothing.

    Does not quote the URL, which may have a password.
    """
    if url.partition("://")[0] not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        return f"{subject} should be {MEMORY_URL} or {known}"
    try:
        _ = urlsplit(url).port
    except ValueError:
        # The library's error quotes the supposed port, which may be a password.
        return f"the URL of {subject} has no valid port"
    return None
