"""Images for vLLM: decoded, run through the model's own processor, put in their tokens' place.

Runs vLLM's renderer, which also says how many tokens an image takes. Knows nothing of where an
image came from.
"""

import asyncio
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import Image
from vllm.v1.engine.async_llm import AsyncLLM

from server.engine.protocol import EnginePrompt, EngineRequestError

MAX_PIXELS = 40_000_000  # of one image: larger ones take long to decode, and no model sees more


def max_images(llm: AsyncLLM) -> int:
    """Most images of one prompt; 0: the model reads text only."""
    if not llm.model_config.is_multimodal_model:
        return 0
    limits = llm.renderer.get_mm_processor().info.allowed_mm_limits
    return int(limits.get("image", 0))


async def with_images(
    llm: AsyncLLM, token_ids: Sequence[int], images: Sequence[bytes]
) -> EnginePrompt:
    """See :meth:`server.engine.protocol.Engine.with_images`."""
    pictures = [await asyncio.to_thread(_decoded, image, i) for i, image in enumerate(images)]
    prompt = {"prompt_token_ids": list(token_ids), "multi_modal_data": {"image": pictures}}
    # Without its cache: one prompt may become several requests, and the cache counts on
    # each being sent just once.
    inputs = await llm.renderer.render_cmpl_async([prompt], skip_mm_cache=True)
    return EnginePrompt(inputs[0]["prompt_token_ids"], inputs[0])


def engine_input(images: Any, token_ids: Sequence[int]) -> dict[str, Any]:
    """vLLM's input for a prompt that begins with an `EnginePrompt` of ours."""
    return {**images, "prompt_token_ids": list(token_ids)}


def _decoded(data: bytes, index: int) -> Image.Image:
    try:
        picture = Image.open(BytesIO(data))
        if picture.width * picture.height > MAX_PIXELS:
            raise EngineRequestError(f"image {index} has more than {MAX_PIXELS} pixels")
        return picture.convert("RGB")
    # Pillow's decoders raise many things at what is no image.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise EngineRequestError(f"image {index} cannot be read as one") from error
