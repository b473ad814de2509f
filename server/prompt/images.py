"""Images of a conversation: found in its messages and decoded from ``data:`` URLs.

Only such URLs: a server that fetches what a client names can be made to fetch what the client
may not see. Does not look into an image; that is the engine's.
"""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from server.errors.internal import PromptError
from server.prompt.messages import IMAGE_PART

MAX_IMAGES = 16
MAX_IMAGE_BYTES = 20 * 2**20  # of one, decoded; the body's own limit is usually smaller
_MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")


def images_of(messages: Sequence[Mapping[str, Any]], field: str) -> list[bytes]:
    """The encoded images (PNG, JPEG …) in `messages`, in order. `field`: where those stand.

    Raises:
        PromptError: too many, too large, or not a ``data:`` URL of an image.
    """
    found = list(_urls(messages, field))
    if len(found) > MAX_IMAGES:
        raise PromptError(found[MAX_IMAGES][0], f"a request may have {MAX_IMAGES} images")
    return [_decoded(url, place) for place, url in found]


def _urls(messages: Sequence[Mapping[str, Any]], field: str) -> Iterator[tuple[str, str]]:
    """Each image's place and URL."""
    for index, message in enumerate(messages):
        content = message.get("content")
        if not isinstance(content, list | tuple):
            continue
        for number, part in enumerate(content):
            if isinstance(part, Mapping) and part.get("type") == IMAGE_PART:
                yield f"{field}[{index}].content[{number}].image_url", part["image_url"]["url"]


def _decoded(url: str, place: str) -> bytes:
    head, comma, data = url.partition(",")
    media_type, _, encoding = head.removeprefix("data:").partition(";")
    if not head.startswith("data:") or not comma or encoding != "base64":
        raise PromptError(
            place, 'should be "data:image/png;base64,…": this server fetches nothing from elsewhere'
        )
    if media_type not in _MEDIA_TYPES:
        raise PromptError(place, f"should be one of {', '.join(_MEDIA_TYPES)}")
    if len(data) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise PromptError(place, f"an image may have {MAX_IMAGE_BYTES} bytes")
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise PromptError(place, "is not valid base64") from None
