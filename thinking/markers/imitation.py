"""The beginnings of a marker that no answer contains, if the marker is made of ordinary tokens.

The sampler makes the last token of a marker impossible after the others. A model that was shown a
marker imitates it: stopped before the last token, it leaves ``<|endofthought|``. Works on text;
who removes it from an answer is not decided here.
"""

# The shortest beginning that is removed, in characters. Of our own markers these are "<|endoft"
# and "<|starto": with one character less, "<|start" would be removed from "<|start|>" and
# "<|start_header_id|>", which answers about other models contain. "<|endoftext|>" and
# "<|startoftext|>" do lose their beginning.
MIN_LENGTH = 8
# Of a shorter marker, such as "<think>", all but the last character is removed: "<thin" also begins
# "<thing>", and "<th" is a table header. Markers below this length are removed whole only.
MIN_DIVISIBLE_LENGTH = 7
# A marker that begins otherwise ("Thought:", "**Thinking**") is removed whole only: its beginning
# is prose.
_BRACKETS = "<[{◁⟨【「"


def find_forbidden_beginning(marker: str) -> str:
    """Return the shortest beginning of `marker` that no answer may contain.

    It is the whole marker, without the whitespace at its end, if any less is too common.
    """
    visible = marker.strip()
    if not visible:
        return marker
    num_before = len(marker) - len(marker.lstrip())
    length = len(visible)
    if visible[0] in _BRACKETS and length >= MIN_DIVISIBLE_LENGTH:
        length = min(MIN_LENGTH, length - 1)
    return marker[: num_before + length]
