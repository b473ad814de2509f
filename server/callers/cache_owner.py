"""Whose prefix cache the requests of the running task use.

A context variable, since every engine request of an HTTP request has the same owner, however
many there are and whoever makes them: none can be forgotten. Set where the key is found.
"""

from contextvars import ContextVar

# None: the cache that all share.
cache_owner: ContextVar[str | None] = ContextVar("cache_owner", default=None)
