"""Boundaries are the tokens whose text ends a sentence or a line."""

import time

import pytest
from transformers import PreTrainedTokenizerFast

from tests.toy_tokenizers import byte_level, sentencepiece_like
from thinking.markers.boundaries import find_boundary_token_ids


def find_boundary_texts(tokenizer: PreTrainedTokenizerFast) -> set[str]:
    ids = find_boundary_token_ids(tokenizer)
    return {token for token, token_id in tokenizer.get_vocab().items() if token_id in ids}


def test_byte_level_boundaries_are_sentence_and_line_ends() -> None:
    tokenizer = byte_level(special=("<|endoftext|>",), added=("\n\n\n", "好。”", "</think>", "x…"))
    expected = {"!", ".", "?", "Ċ", "č", "ĊĊ", "Ġ.", '."', "\n\n\n", "好。”", "x…"}
    assert find_boundary_texts(tokenizer) == expected


def test_sentencepiece_boundaries_are_sentence_and_line_ends() -> None:
    expected = {".", "!", "。", "▁.", '."', "<0x0A>", "<0x0D>", "<0x2E>", "<0x21>", "<0x3F>"}
    assert find_boundary_texts(sentencepiece_like()) == expected


@pytest.mark.parametrize(
    "ending",
    [".", "!", "?", "…", "。", "！", "？", '."', ".)", "。」", ".**", "\n", "\r\n", "\u2028"],
)
def test_each_ending_counts(ending: str) -> None:
    tokenizer = byte_level(special=("<|endoftext|>",), added=(f"word{ending}",))
    assert tokenizer.convert_tokens_to_ids(f"word{ending}") in find_boundary_token_ids(tokenizer)


@pytest.mark.parametrize("ending", ["a", ",", ".a", '"', ")", "\n ", ":", ".<", "<0x0A>", "âĢ¦"])
def test_other_endings_do_not_count(ending: str) -> None:
    tokenizer = byte_level(special=("<|endoftext|>",), added=(f"word{ending}",))
    assert tokenizer.convert_tokens_to_ids(f"word{ending}") not in find_boundary_token_ids(
        tokenizer
    )


def test_a_large_vocabulary_takes_seconds_at_most() -> None:
    words = tuple(f"word{i}." for i in range(50_000))

    class LargeVocabulary:
        """Tokenizer with only the parts that are read: 150,000 real tokens take long to build."""

        added_tokens_decoder: dict[int, object] = {}  # noqa: RUF012

        def get_vocab(self) -> dict[str, int]:
            texts = ["Ċ", *words, *(w[:-1] for w in words), *(f"Ġ{w}" for w in words)]
            return {text: i for i, text in enumerate(texts)}

    start = time.process_time()
    ids = find_boundary_token_ids(LargeVocabulary())
    assert time.process_time() - start < 5
    assert len(ids) == 100_001
