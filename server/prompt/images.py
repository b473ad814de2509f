"""Extracts the images of a conversation from ``data:`` URLs in its messages.

Other URLs are rejected: a server that fetches URLs for clients can be made to fetch resources that
the clients may not access. Does not decode the image formats; the engine does.
"""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from server.errors.internal import PromptError
from server.prompt.messages import IMAGE_PART

MAX_IMAGES = 16
MAX_IMAGE_BYTES = (
    20 * 2**20
)  # of one image, after base64 decoding; the limit on the body is usually smaller
_MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")


def extract_images(messages: Sequence[Mapping[str, Any]], field: str) -> list[bytes]:
    """Return the encoded images (PNG, JPEG …) in `messages`, in order.

    `field` is the request field that holds the messages.

    Raises:
        PromptError: there are too many images, or one is too large or not an image ``data:`` URL.
    """
    found = list(_iter_urls(messages, field))
    if len(found) > MAX_IMAGES:
        raise PromptError(found[MAX_IMAGES][0], f"a request may have at most {MAX_IMAGES} images")
    return [_decode(url, place) for place, url in found]


def _iter_urls(messages: Sequence[Mapping[str, Any]], field: str) -> Iterator[tuple[str, str]]:
    """Yield the field path and URL of each image."""
    for index, message in enumerate(messages):
        content = message.get("content")
        if not isinstance(content, list | tuple):
            continue
        for number, part in enumerate(content):
            if isinstance(part, Mapping) and part.get("type") == IMAGE_PART:
                yield f"{field}[{index}].content[{number}].image_url", part["image_url"]["url"]


def _decode(url: str, place: str) -> bytes:
    head, comma, data = url.partition(",")
    media_type, _, encoding = head.removeprefix("data:").partition(";")
    if not head.startswith("data:") or not comma or encoding != "base64":
        raise PromptError(
            place,
            'should be "data:image/png;base64,…"; this server does not fetch other URLs',
        )
    if media_type not in _MEDIA_TYPES:
        raise PromptError(place, f"should be one of {', '.join(_MEDIA_TYPES)}")
    if len(data) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise PromptError(place, f"an image may have at most {MAX_IMAGE_BYTES} bytes")
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise PromptError(place, "is not valid base64") from None
