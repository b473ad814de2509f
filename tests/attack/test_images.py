"""Images that are bombs, broken, or something else: an error that says which, in bounded memory."""

import base64
import struct
import zlib
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from server.engine.image_decoding import MAX_PIXELS, decode_images
from server.errors.internal import EngineRequestError, PromptError
from server.prompt.images import MAX_IMAGES, extract_images

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n%%EOF\n"


def png(width: int, height: int, *, pixels: bytes | None = None) -> bytes:
    """A PNG that says so of its size; its pixels are as many zeros, or `pixels`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height)) if pixels is None else pixels
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def saved(kind: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_pictures_are_read(kind: str) -> None:
    assert [picture.size for picture in decode_images([saved(kind)] * 2)] == [(8, 8), (8, 8)]


@pytest.mark.parametrize("side", [8_000, 2**15, 2**31 - 1])
def test_a_bomb_is_refused_before_it_is_opened(side: int) -> None:
    with pytest.raises(EngineRequestError):
        decode_images([png(side, side, pixels=zlib.compress(b""))])


def test_many_large_pictures_are_as_bad_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Image.Image, mode: str) -> Image.Image:
        pytest.fail("decoded")

    monkeypatch.setattr(Image.Image, "convert", never)
    one = png(5_000, 5_000, pixels=zlib.compress(b""))
    assert MAX_PIXELS > 5_000**2
    with pytest.raises(EngineRequestError, match="pixels"):
        decode_images([one, one])


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM", "PDF", "EPS", "TGA"])
def test_other_kinds_are_not_even_tried(kind: str) -> None:
    with pytest.raises(EngineRequestError):
        decode_images([saved(kind)])


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", SVG, POSTSCRIPT, png(8, 8)[:-30]])
def test_what_is_broken_is_refused(data: bytes) -> None:
    with pytest.raises(EngineRequestError, match="image 0"):
        decode_images([data])


@given(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]), st.data())
def test_no_damage_is_more_than_an_error(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(saved(kind))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(EngineRequestError):
        decode_images([bytes(damaged)])


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1:8000/metrics",
        "file:///etc/passwd",
        "ftp://evil.example/a.png",
        "//evil.example/a.png",
        "DATA:image/png;base64,AAAA",
        "data:image/svg+xml;base64," + base64.b64encode(SVG).decode(),
        "data:text/html;base64,AAAA",
        "data:image/png,AAAA",
        "data:image/png;charset=utf-8;base64,AAAA",
        "data:image/png;base64,%41%41",
        "data:image/png;base64,http://evil.example/a.png",
        "",
    ],
)
def test_nothing_is_fetched(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(PromptError) as caught:
        extract_images([{"role": "user", "content": [part]}], "messages")
    assert "evil" not in str(caught.value)


def test_a_request_has_few_images() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(PromptError, match=str(MAX_IMAGES)):
        extract_images([{"role": "user", "content": [part] * 10_000}], "messages")
