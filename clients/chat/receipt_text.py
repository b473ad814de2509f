"""The receipt of a reply in words: a line after each reply, or all of it. Prints nothing."""

from clients.chat.turn import ChatTurn

_STOPS = {
    "natural": "the model had finished",
    "budget": "the budget was used up",
    "grace": "closed at the end of a line, shortly before the budget's end",
    "loop": "it repeated itself",
    "confident": "the model was sure of its answer",
    "time": "its time was up",
    "caller": "you ended it",
    "eos": "the model wanted to end the reply",
    "max_tokens": "the reply's token limit was reached",
    "cancelled": "the reply was stopped",
    "none": "there was no thought",
}
_LIMITS = {
    "model": "the ceiling of the model",
    "key": "the ceiling of the key",
    "max_completion_tokens": "max_completion_tokens, which keeps a reserve for the answer",
    "context": "the context that is left",
    "load": "load on the server",
    "turn": "what the turn has left",
}


def format_summary(turn: ChatTurn) -> str:
    """Return a line on thought, answer and time, then a line for each piece of advice."""
    parts = [_summarise_thought(turn)]
    if (answer := _count_answer(turn)) is not None:
        parts.append(f"answer {answer} tokens")
    if turn.finish_reason == "length":
        parts.append("cut off by the token limit")
    parts.append(f"{turn.seconds:.1f} s")
    advice = turn.receipt.get("advice") or []
    return "\n".join([f"[{', '.join(parts)}]", *(f"advice: {line}" for line in advice)])


def format_receipt(turn: ChatTurn) -> str:
    """Return the whole receipt, a line for each thing that it says."""
    if not turn.receipt:
        return format_summary(turn)
    rows = {
        "budget": _describe_budget(turn),
        "thought": _describe_thought(turn),
        "ended": _describe_stop(turn),
        "answer": _describe_answer(turn),
        "time": f"{turn.receipt.get('seconds', 0):.1f} s of thought, {turn.seconds:.1f} s in all",
    }
    lines = [f"{name:8} {text}" for name, text in rows.items()]
    return "\n".join([*lines, *(f"advice   {line}" for line in turn.receipt.get("advice") or [])])


def _summarise_thought(turn: ChatTurn) -> str:
    receipt = turn.receipt
    if not receipt:
        count = "?" if turn.reasoning_tokens is None else turn.reasoning_tokens
        return f"thought {count} tokens"
    limit = receipt.get("limited_by")
    shrunk = f", limited by {limit}" if limit else ""
    return (
        f"thought {receipt.get('used')} of {receipt.get('budget')} tokens"
        f" ({receipt.get('stop')}{shrunk})"
    )


def _describe_budget(turn: ChatTurn) -> str:
    receipt = turn.receipt
    source, requested = receipt.get("source"), receipt.get("requested")
    asked = "the server's default" if source == "default" else f"set by {source}"
    if requested is not None and requested != receipt.get("budget"):
        asked += f", {requested} asked for"
    limit = receipt.get("limited_by")
    shrunk = f"; limited by {_LIMITS.get(limit, limit)}" if limit else ""
    return f"{receipt.get('budget')} tokens ({asked}{shrunk})"


def _describe_thought(turn: ChatTurn) -> str:
    receipt = turn.receipt
    used, budget = receipt.get("used", 0), receipt.get("budget", 0)
    share = f" ({100 * used / budget:.0f} % of the budget)" if budget else ""
    segments = receipt.get("segments", 0)
    pieces = f", in {segments} thoughts" if segments > 1 else ""
    injected = receipt.get("injected", 0)
    forced = f", {injected} of them not the model's own" if injected else ""
    return f"{used} tokens{share}{pieces}{forced}"


def _describe_stop(turn: ChatTurn) -> str:
    stop = turn.receipt.get("stop")
    return f"{stop}: {_STOPS[stop]}" if stop in _STOPS else str(stop)


def _describe_answer(turn: ChatTurn) -> str:
    answer = _count_answer(turn)
    count = "?" if answer is None else answer
    return f"{count} tokens, finish_reason {turn.finish_reason}"


def _count_answer(turn: ChatTurn) -> int | None:
    if turn.completion_tokens is None:
        return None
    return turn.completion_tokens - (turn.reasoning_tokens or 0)
