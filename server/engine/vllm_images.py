"""Prepares images for vLLM: decodes them and expands their placeholders in the prompt.

Runs the model's processor through vLLM's renderer, which also determines how many tokens an image
takes. Knows nothing of the source of an image.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from vllm.v1.engine.async_llm import AsyncLLM

from server.engine.image_decoding import decode_images
from server.engine.protocol import EnginePrompt


def get_max_images(llm: AsyncLLM) -> int:
    """Return the maximum number of images per prompt; 0: the model reads text only."""
    if not llm.model_config.is_multimodal_model:
        return 0
    limits = llm.renderer.get_mm_processor().info.allowed_mm_limits
    return int(limits.get("image", 0))


async def with_images(
    llm: AsyncLLM, token_ids: Sequence[int], images: Sequence[bytes]
) -> EnginePrompt:
    """See :meth:`server.engine.protocol.Engine.with_images`."""
    pictures = await asyncio.to_thread(decode_images, images)
    prompt = {"prompt_token_ids": list(token_ids), "multi_modal_data": {"image": pictures}}
    # The renderer's cache is skipped because it relies on each prompt being sent once, but a
    # prompt may be sent in several requests.
    inputs = await llm.renderer.render_cmpl_async([prompt], skip_mm_cache=True)
    return EnginePrompt(inputs[0]["prompt_token_ids"], inputs[0])


def to_engine_input(
    images: Any, token_ids: Sequence[int], cache_salt: str | None
) -> dict[str, Any]:
    """Return vLLM's input for a prompt that begins with the `EnginePrompt` of `images`."""
    salted = {} if cache_salt is None else {"cache_salt": cache_salt}
    return {**images, "prompt_token_ids": list(token_ids), **salted}
