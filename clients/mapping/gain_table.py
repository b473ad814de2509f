"""The positions of a map that gained most, and its means, as Markdown."""

from clients.mapping.thought_map import Position, ThoughtMap

COLUMNS = ("position", "token", "without", "with", "gain", "thought", "stop")
CONTEXT_TOKENS = 6


def gain_table(thought_map: ThoughtMap, count: int) -> str:
    """A table of `count` positions, then a line of means, then one a weight."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [_row(position, thought_map) for position in thought_map.most_gained(count)]
    lines += ["", _means(thought_map), ""]
    return "\n".join(lines)


def visible(token: str) -> str:
    """A token as one can see it in a line."""
    return token.replace("\n", "⏎").replace("\t", "⇥").replace("\r", "␍")


def _row(position: Position, thought_map: ThoughtMap) -> str:
    before = thought_map.positions[max(0, position.index - CONTEXT_TOKENS) : position.index]
    left = "…" if position.index > CONTEXT_TOKENS else ""
    context = visible("".join(p.token for p in before))
    token = f"{left}{context}[{visible(position.token)}]".replace("|", "\\|")
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


def _means(thought_map: ThoughtMap) -> str:
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
