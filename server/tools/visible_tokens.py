"""Which special tokens a reader of tool calls gets as text.

Models write calls with tokens of their own, which are no text otherwise. What frames turns,
ends a reply or belongs to a thought stays hidden. Knows no form of calls.
"""

from transformers import PreTrainedTokenizerBase

from thinking.markers.profile import MarkerProfile

_FRAMES = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id")
_CHAT = [{"role": role, "content": "a"} for role in ("user", "assistant", "user")]


def call_token_ids(tokenizer: PreTrainedTokenizerBase, profile: MarkerProfile) -> frozenset[int]:
    """Special tokens that may be part of a call."""
    hidden = {
        *profile.stop_token_ids,
        *profile.start_token_ids,
        *profile.end_token_ids,
        profile.eos_stand_in_id,
        profile.exit_stand_in_id,
        *(getattr(tokenizer, name, None) for name in _FRAMES),
        *_framing(tokenizer),
    }
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(i for i, token in added if token.special and i not in hidden)


def _framing(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Tokens of a chat in which no tool is called."""
    try:
        text = tokenizer.apply_chat_template(_CHAT, tokenize=False, add_generation_prompt=True)
    except Exception:  # a template is a program of the model's; what it raises is its own
        return []
    return list(tokenizer.encode(str(text), add_special_tokens=False))
