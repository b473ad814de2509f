"""Markdown table of the positions of a map that gained most, with the means."""

from clients.mapping.thought_map import Position, ThoughtMap

COLUMNS = ("position", "token", "without", "with", "gain", "thought", "stop")
CONTEXT_TOKENS = 6


def format_gain_table(thought_map: ThoughtMap, count: int) -> str:
    """Return a table of `count` positions, then a line of means."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [_format_row(position, thought_map) for position in thought_map.rank_by_gain(count)]
    lines += ["", _format_means(thought_map), ""]
    return "\n".join(lines)


def make_visible(token: str) -> str:
    """Return `token` with line breaks and tabs made visible."""
    return token.replace("\n", "⏎").replace("\t", "⇥").replace("\r", "␍")


def _format_row(position: Position, thought_map: ThoughtMap) -> str:
    before = thought_map.positions[max(0, position.index - CONTEXT_TOKENS) : position.index]
    left = "…" if position.index > CONTEXT_TOKENS else ""
    context = make_visible("".join(p.token for p in before))
    token = f"{left}{context}[{make_visible(position.token)}]".replace("|", "\\|")
    numbers = (position.logprob, position.logprob_with_thought)
    cells = [
        str(position.index),
        token,
        *(f"{number:z.2f}" for number in numbers),
        f"{position.gain:+z.2f}",
        str(position.thought_tokens),
        position.stop,
    ]
    return f"| {' | '.join(cells)} |"


def _format_means(thought_map: ThoughtMap) -> str:
    mixed = ", ".join(
        f"{value:z.3f} at {weight:g}"
        for weight, value in zip(thought_map.mix, thought_map.mean_logprob_mixed, strict=True)
    )
    return (
        f"Mean log-probability of {len(thought_map.positions)} tokens: "
        f"{thought_map.mean_logprob:z.3f} without, "
        f"{thought_map.mean_logprob_with_thought:z.3f} with a thought "
        f"(gain {thought_map.mean_gain:+z.3f}); mixed: {mixed}."
    )
