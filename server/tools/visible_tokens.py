"""Selects the special tokens that a reader of tool calls gets as text.

Models write calls with special tokens, which are otherwise not part of the text. Tokens that frame
turns, end a reply or belong to a thought stay hidden. Knows no format of calls.
"""

from transformers import PreTrainedTokenizerBase

from thinking.markers.profile import MarkerProfile

_FRAMES = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id")
_CHAT = [{"role": role, "content": "a"} for role in ("user", "assistant", "user")]


def find_call_token_ids(
    tokenizer: PreTrainedTokenizerBase, profile: MarkerProfile
) -> frozenset[int]:
    """Return the special tokens that may be part of a call."""
    hidden = {
        *profile.stop_token_ids,
        *profile.start_token_ids,
        *profile.end_token_ids,
        profile.eos_stand_in_id,
        profile.exit_stand_in_id,
        *(getattr(tokenizer, name, None) for name in _FRAMES),
        *_find_framing(tokenizer),
    }
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(i for i, token in added if token.special and i not in hidden)


def _find_framing(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens of a chat without tool calls."""
    try:
        text = tokenizer.apply_chat_template(_CHAT, tokenize=False, add_generation_prompt=True)
    except Exception:  # a template is a program of the model and may raise any error
        return []
    return list(tokenizer.encode(str(text), add_special_tokens=False))
