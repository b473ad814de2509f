"""Detects that a computation reads a value from the device, which makes the host wait.

On a GPU torch itself detects it. Elsewhere every operation is inspected, so that the law can
be tested without a GPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
WAITING = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.unique_consecutive}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}


class _NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that fails on operations whose result the host must know."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        by_mask = packet in INDEXING and any(
            index is not None and index.dtype is torch.bool for index in args[1]
        )
        if packet in WAITING or by_mask:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """Raise an error on every wait for `device`."""
    if device.type != "cuda":
        with _NoWaiting():  # type: ignore[no-untyped-call]
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
