"""Makes a model that reads images, with random weights: what it says means nothing.

Idefics3's parts (the family of SmolVLM), as small as vLLM's CPU attention allows. Run as a
program, because it imports torch.
"""

import sys
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from server.hub.model_resolution import resolve_model

IMAGE_SIZE, PATCH_SIZE, SCALE_FACTOR = 56, 14, 2
TOKENS_PER_IMAGE = (IMAGE_SIZE // PATCH_SIZE // SCALE_FACTOR) ** 2
WIDTH = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for part in m.content %}{% if part.type == 'image' %}<image>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make(folder: Path) -> None:
    """Write the model, its tokenizer and its processor."""
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("smollm2-135m-instruct").path_or_hub_id)
    around = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    tokenizer.add_special_tokens({"additional_special_tokens": around})
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    model = Idefics3ForConditionalGeneration(_config(tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": IMAGE_SIZE},
        max_image_size={"longest_edge": IMAGE_SIZE},
        do_image_splitting=False,
    )
    processor = Idefics3Processor(
        image_processor=images,
        tokenizer=tokenizer,
        image_seq_len=TOKENS_PER_IMAGE,
        chat_template=TEMPLATE,
    )
    processor.save_pretrained(folder)


def _config(tokenizer) -> Idefics3Config:  # type: ignore[no-untyped-def]
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,  # vLLM's CPU attention takes few sizes
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **WIDTH,
    )
    vision = Idefics3VisionConfig(
        num_attention_heads=2, image_size=IMAGE_SIZE, patch_size=PATCH_SIZE, **WIDTH
    )
    return Idefics3Config(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=SCALE_FACTOR,
        pad_token_id=tokenizer.pad_token_id,
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]))
