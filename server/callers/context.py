"""The caller that the running task works for: the id of its key, and its prefix cache.

Context variables, so that no engine request can miss them: everything done for one HTTP request,
however deep and however many engine requests it takes, is done for the same caller. Set where
the request's key is found.
"""

from contextvars import ContextVar

# "": work of the server itself.
caller: ContextVar[str] = ContextVar("caller", default="")
# None: the cache shared by all callers.
cache_owner: ContextVar[str | None] = ContextVar("cache_owner", default=None)
