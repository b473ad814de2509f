"""For whom the running task works: the id of its request's key, and whose prefix cache it uses.

Context variables, since all that is done for one HTTP request, however deep and however many
engine requests it takes, is done for the same caller: none can be forgotten. Set where the key
is found.
"""

from contextvars import ContextVar

# "": the server's own work.
caller: ContextVar[str] = ContextVar("caller", default="")
# None: the cache that all share.
cache_owner: ContextVar[str | None] = ContextVar("cache_owner", default=None)
