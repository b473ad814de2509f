"""For whom the running task works: the id of the key of its request.

A context variable, since all that is done for an HTTP request is done for the same caller,
however deep. Set where the key is found; read where callers have to share.
"""

from contextvars import ContextVar

# "": the server's own work.
caller: ContextVar[str] = ContextVar("caller", default="")
