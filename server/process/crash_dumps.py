"""No memory of ours is left on disk by a crash: it would hold thoughts and prompts.

For this process and all that it starts, since limits are inherited. What the engine writes
to its log when it crashes is masked in ``server.engine.crash_masks``.
"""

import resource


def forbid_core_dumps() -> None:
    """Set the size of core dumps to 0, for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
