"""The thinker's tokenizer: byte-level BPE in which each number below 100 is one token.

Trained on a sample of the corpus, so that every word of the tasks is one token; any
other text is encoded as bytes. Knows nothing of the model.
"""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCAB_SIZE = 512
START = "<|startofthought|>"
END = "<|endofthought|>"
PAUSE = "<|pause|>"
USER = "<|user|>"
SYSTEM = "<|system|>"
ASSISTANT = "<|assistant|>"
TURN_END = "<|end|>"
PAD = "<|pad|>"
# The server uses these ids, which no text contains, for its own signals.
SPARE = ("<|spare_0|>", "<|spare_1|>")
SPECIAL_TOKENS = (PAD, TURN_END, *SPARE, SYSTEM, USER, ASSISTANT, START, END, PAUSE)
# Numbers are split into pieces of two digits from the left; a line end is its own piece.
_PIECES = r"[0-9]{1,2}|\n| ?[A-Za-z]+| ?[^\sA-Za-z0-9]|\s"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|' + message.role + '|>' + message.content }}"
    "{%- if message.role == 'assistant' or message.role == 'user' or message.role == 'system' -%}"
    "{{ '<|end|>' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn the merges from `texts`; the same texts give the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL_TOKENS[2:]),
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer in `folder`."""
    return PreTrainedTokenizerFast.from_pretrained(folder)
