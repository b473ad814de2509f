"""Raises the limit of open files for the connections: many systems start with 1,024."""

import resource

# For the engine's sockets, libraries, logs and stores.
OTHER_FILES = 1_024


def allow_open_files(max_connections: int) -> None:
    """Raise the soft limit as needed, up to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
