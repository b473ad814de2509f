"""Decoders of compressed bodies that never write more than they are allowed to.

A few kilobytes can decode to gigabytes, so each step of a decoder has a limit of output. Knows
nothing of HTTP beyond the names of the codings.
"""

import sys
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

_GZIP_BITS = 16 + zlib.MAX_WBITS
# 8 MiB, which RFC 9659 demands of decoders and forbids encoders to exceed: a frame may demand
# gigabytes of memory for its window.
_ZSTD_WINDOW_LOG = 23


class BadCodingError(ValueError):
    """The bytes are not of the coding that the header names."""


class Decoder(Protocol):
    """A decoder of one body."""

    @property
    def is_finished(self) -> bool:
        """True after the end that the coding itself marks."""

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        """Return what `data` decodes to, at most `max_bytes` of it; the rest is lost.

        Raises:
            BadCodingError: it is not of this coding, or bytes follow its end.
        """


class ZlibDecoder:
    """gzip with one member, and deflate."""

    def __init__(self, bits: int) -> None:
        self._decompressor = zlib.decompressobj(bits)

    @property
    def is_finished(self) -> bool:
        return self._decompressor.eof

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        try:
            decoded = self._decompressor.decompress(data, max_bytes)
        except zlib.error:
            raise BadCodingError from None
        if self._decompressor.unused_data:
            raise BadCodingError
        return decoded


class DeflateDecoder:
    """deflate as it is in the wild: in a zlib frame, as the RFC says, or without."""

    def __init__(self) -> None:
        self._decoder: ZlibDecoder | None = None

    @property
    def is_finished(self) -> bool:
        return self._decoder is not None and self._decoder.is_finished

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        if not data:
            return b""
        if self._decoder is None:
            # The method in a zlib header; as the first byte of a bare stream it would be a stored
            # block with its padding set, which no encoder writes.
            has_frame = data[0] & 0x0F == zlib.DEFLATED
            self._decoder = ZlibDecoder(zlib.MAX_WBITS if has_frame else -zlib.MAX_WBITS)
        return self._decoder.decode(data, max_bytes)


class ZstdDecoder:
    """zstd with one frame."""

    def __init__(self) -> None:
        # Few clients send it, so it is loaded with the first body that needs it.
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        self._error: type[Exception] = zstd.ZstdError
        options: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._decompressor = zstd.ZstdDecompressor(options=options)

    @property
    def is_finished(self) -> bool:
        return self._decompressor.eof

    def decode(self, data: bytes, max_bytes: int) -> bytes:
        if self._decompressor.eof:
            if data:
                raise BadCodingError
            return b""
        try:
            decoded = self._decompressor.decompress(data, max_bytes)
        except self._error:
            raise BadCodingError from None
        if self._decompressor.unused_data:
            raise BadCodingError
        return decoded


DECODERS: Mapping[str, Callable[[], Decoder]] = MappingProxyType(
    {
        "gzip": lambda: ZlibDecoder(_GZIP_BITS),
        "x-gzip": lambda: ZlibDecoder(_GZIP_BITS),
        "deflate": DeflateDecoder,
        "zstd": ZstdDecoder,
    }
)
# As the header names them in a response; "x-gzip" is an old name of gzip.
ACCEPTED = ", ".join(name for name in DECODERS if not name.startswith("x-"))
