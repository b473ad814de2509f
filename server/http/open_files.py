"""As many open files as the connections need: a process often starts with 1,024."""

import resource

# The engine's sockets, libraries, logs and stores.
OTHER_FILES = 1_024


def allow_open_files(max_connections: int) -> None:
    """Raise the soft limit, as far as the hard one goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
