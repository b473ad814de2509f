"""A conversation in a file: Markdown to read, or JSON with thoughts and receipts."""

import json
from pathlib import Path
from typing import Any

from clients.chat.receipt_text import format_summary
from clients.chat.session import ChatSession
from clients.errors import UsageError


def write_transcript(session: ChatSession, file_name: str) -> Path:
    """Write the conversation into a new file and return its path.

    Raises:
        UsageError: the file exists, or cannot be written.
    """
    path = Path(file_name).expanduser()
    text = _to_json(session) if path.suffix == ".json" else _to_markdown(session)
    try:
        with path.open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} exists: name another file") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    return path


def _to_json(session: ChatSession) -> str:
    content: dict[str, Any] = {
        "model": session.model,
        "settings": session.settings.to_fields(),
        "messages": session.to_messages(),
        "replies": [
            {
                "thought": turn.thought or None,
                "finish_reason": turn.finish_reason,
                "receipt": dict(turn.receipt),
                "usage": dict(turn.usage),
                "seconds": round(turn.seconds, 3),
            }
            for turn in session.turns
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _to_markdown(session: ChatSession) -> str:
    parts = [f"# Conversation with {session.model}"]
    if session.settings.system is not None:
        parts += ["## System", session.settings.system]
    for turn in session.turns:
        parts += [
            "## Question",
            turn.question,
            "## Answer",
            turn.answer,
            f"*{format_summary(turn)}*",
        ]
    return "\n\n".join(parts) + "\n"
