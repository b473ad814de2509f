"""Small tokenizers with the marker layouts of real model families.

Byte-level (each byte one token, a few merges) unless said; templates are short ones of
our own in the families' manner.
"""

from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3 = CHATML.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
# As Qwen3, but writes an empty thought without line breaks in it.
GLM = QWEN3.replace("<think>\n\n</think>\n\n", "<think></think>\n")
# Opens the thought in the prompt.
R1 = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
# Thinks only where asked to; opens or closes the thought in the prompt.
DEEPSEEK_V31 = CHATML.replace(
    "assistant\n{% endif %}",
    "assistant\n{% if thinking %}<think>{% else %}</think>{% endif %}{% endif %}",
)
HARMONY = (
    "{% for m in messages %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
TOOLS = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}{% for m in messages %}<|im_start|>"
    "{{ m['role'] }} {{ m['name'] or '' }}\n{{ m['content'] }}{% for c in m['tool_calls'] or [] %}"
    "<tool_call>{{ c['function'] | tojson }}</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ċ", "Ċ"), ("Ġ", "."), (".", '"')]


@cache
def byte_level(
    special: tuple[str, ...] = ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    added: tuple[str, ...] = (),
    template: str | None = CHATML,
    nfkc: bool = False,
) -> PreTrainedTokenizerFast:
    """`special` and `added` (not special, as Qwen's ``<think>``) are added tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(alphabet)}
    for left, right in _MERGES:
        vocabulary[left + right] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=_MERGES))
    if nfkc:
        tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=nfkc) for t in added])
    return _wrap(tokenizer, template, eos_token=special[-1])


@cache
def sentencepiece_like(
    special: tuple[str, ...] = ("<s>", "</s>"), template: str | None = None
) -> PreTrainedTokenizerFast:
    """Llama's way: a space before the start of a text, bytes for what is unknown."""
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", ".", "a", "!", "。"]
    tokens += ["▁a", "▁.", '."']
    merges = [("▁", "a"), ("▁", "."), (".", '"')]
    vocabulary = {token: i for i, token in enumerate([*tokens, '"'])}
    bpe = models.BPE(
        vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True
    )
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    return _wrap(tokenizer, template, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _wrap(tokenizer: Tokenizer, template: str | None, **special: str) -> PreTrainedTokenizerFast:
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **special
    )
    wrapped.chat_template = template
    return wrapped
