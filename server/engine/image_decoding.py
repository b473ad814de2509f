"""Encoded images to pictures, within a bound of pixels: a small file can hold a giant.

Knows nothing of vLLM, nor of where an image came from.
"""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from server.errors.internal import EngineRequestError

# Of all images of a request together: 120 MB when decoded, and no model sees more.
MAX_PIXELS = 40_000_000
# Pillow knows dozens, some of which start programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def decoded(images: Sequence[bytes]) -> list[Image.Image]:
    """The pictures (RGB; of a moving one the first), once all sizes are known.

    Raises:
        EngineRequestError: one is no image of these kinds, or there are too many pixels.
    """
    opened = [_opened(data, index) for index, data in enumerate(images)]
    if sum(picture.width * picture.height for picture in opened) > MAX_PIXELS:
        raise EngineRequestError(f"the images have more than {MAX_PIXELS} pixels together")
    return [_as_rgb(picture, index) for index, picture in enumerate(opened)]


def _opened(data: bytes, index: int) -> Image.Image:
    """Its head has been read, its pixels have not."""
    try:
        return Image.open(BytesIO(data), formats=_FORMATS)
    # Pillow's readers raise many things at what is no image.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(index) from error


def _as_rgb(picture: Image.Image, index: int) -> Image.Image:
    try:
        return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(index) from error


def _unreadable(index: int) -> EngineRequestError:
    return EngineRequestError(f"image {index} cannot be read as one")
