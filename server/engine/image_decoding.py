"""Decodes images within a pixel limit, since a small file can contain a huge image.

Knows nothing of vLLM or of the source of an image.
"""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from server.errors.internal import EngineRequestError

# Limit for all images of a request together: 120 MB when decoded, and no model uses more.
MAX_PIXELS = 40_000_000
# Pillow supports dozens of formats, and some of its readers start programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def decode_images(images: Sequence[bytes]) -> list[Image.Image]:
    """Return the images as RGB, the first frame of an animation. Checks all sizes before decoding.

    Raises:
        EngineRequestError: an image has an unknown format or is damaged, or the images have too
            many pixels.
    """
    opened = [_open(data, index) for index, data in enumerate(images)]
    if sum(picture.width * picture.height for picture in opened) > MAX_PIXELS:
        raise EngineRequestError(f"the images have more than {MAX_PIXELS} pixels in total")
    return [_to_rgb(picture, index) for index, picture in enumerate(opened)]


def _open(data: bytes, index: int) -> Image.Image:
    """Open an image, reading its header but not its pixels."""
    try:
        return Image.open(BytesIO(data), formats=_FORMATS)
    # Pillow's readers raise many kinds of errors for data that is not an image.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _make_error(index) from error


def _to_rgb(picture: Image.Image, index: int) -> Image.Image:
    try:
        return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _make_error(index) from error


def _make_error(index: int) -> EngineRequestError:
    return EngineRequestError(f"image {index} cannot be decoded")
