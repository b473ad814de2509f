"""The picture and the table of a map."""

import pytest

from clients.mapping.gain_table import format_gain_table
from clients.mapping.heat_map import draw
from clients.mapping.thought_map import Position, Summary, ThoughtMap


def make_map(*tokens: str, mix: tuple[float, ...] = (0.5,), gain: float = 0.1) -> ThoughtMap:
    """Return a map in which each token gains a little more than the one before."""
    positions = [
        Position(
            index=index,
            token=token,
            bytes=list(token.encode()),
            logprob=-20.0,
            logprob_with_thought=-20.0 + gain * index,
            logprob_mixed=[-20.0] * len(mix),
            gain=gain * index,
            thought_tokens=3,
            stop="natural",
        )
        for index, token in enumerate(tokens)
    ]
    summary = Summary(
        object="thinking.map",
        id="map-1",
        created=1,
        model="m",
        thought_tokens=8,
        mix=list(mix),
        mean_logprob=-1.0,
        mean_logprob_with_thought=-0.5,
        mean_logprob_mixed=[-0.75] * len(mix),
        mean_gain=0.5,
        usage={},
    )
    return ThoughtMap.join(summary, positions[::-1], {"text": "".join(tokens)})


@pytest.mark.filterwarnings("error")  # such as one for a glyph that the font lacks
@pytest.mark.parametrize(
    "tokens",
    [
        ("a",),
        (
            "The",
            " cost",
            " is",
            " $5",
            " & $6",
            "\n",
            "\t",
            "日本",
            "🎉",
            "\N{REPLACEMENT CHARACTER}",
        ),
        tuple(f" word{n}" for n in range(200)),
        ("x" * 300,),
        ("",),
    ],
)
def test_any_text_is_drawn(tokens: tuple[str, ...]) -> None:
    for mix in ((0.5,), (0.0, 1.0), (1.0, 0.0, 0.5)):
        assert draw(make_map(*tokens, mix=mix)).startswith(b"\x89PNG")
    assert draw(make_map(*tokens, gain=0.0)).startswith(b"\x89PNG")


def test_the_same_map_gives_the_same_picture() -> None:
    assert draw(make_map("a", "b")) == draw(make_map("a", "b"))


def test_positions_are_put_into_the_texts_order() -> None:
    assert [position.token for position in make_map("a", "b", "c").positions] == ["a", "b", "c"]


def test_the_table_has_the_best_first_with_the_text_before_it() -> None:
    lines = format_gain_table(make_map("a|", "\n", "c"), 2).splitlines()
    assert lines[2] == "| 2 | a\\|⏎[c] | -20.00 | -19.80 | +0.20 | 3 | natural |"
    assert lines[3].startswith("| 1 | a\\|[⏎] |")
    assert "Mean log-probability of 3 tokens: -1.000 without, -0.500 with" in lines[-1]


def test_a_map_is_read_back_as_it_was() -> None:
    made = make_map("a", "b")
    assert ThoughtMap.model_validate_json(made.to_json()) == made
