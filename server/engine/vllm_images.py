"""Images for vLLM: decoded, run through the model's own processor, put in their tokens' place.

Runs vLLM's renderer, which also says how many tokens an image takes. Knows nothing of where an
image came from.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from vllm.v1.engine.async_llm import AsyncLLM

from server.engine.image_decoding import decoded
from server.engine.protocol import EnginePrompt


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
    pictures = await asyncio.to_thread(decoded, images)
    prompt = {"prompt_token_ids": list(token_ids), "multi_modal_data": {"image": pictures}}
    # Without its cache: one prompt may become several requests, and the cache counts on
    # each being sent just once.
    inputs = await llm.renderer.render_cmpl_async([prompt], skip_mm_cache=True)
    return EnginePrompt(inputs[0]["prompt_token_ids"], inputs[0])


def engine_input(images: Any, token_ids: Sequence[int], cache_salt: str | None) -> dict[str, Any]:
    """vLLM's input for a prompt that begins with an `EnginePrompt` of ours."""
    salted = {} if cache_salt is None else {"cache_salt": cache_salt}
    return {**images, "prompt_token_ids": list(token_ids), **salted}
