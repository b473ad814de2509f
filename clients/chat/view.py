"""Views of a reply while it comes: their interface. Knows no HTTP."""

from typing import Protocol

from clients.chat.turn import Progress


class ReplyView(Protocol):
    """Shows one reply. `finish` is called at the end, whatever happens."""

    def show_progress(self, progress: Progress) -> None:
        """Show how far a hidden thought is."""

    def show_text(self, text: str, *, is_thought: bool) -> None:
        """Show a piece of thought or answer."""

    def show_notice(self, notice: str) -> None:
        """Show a line about the reply, while it comes."""

    def finish(self) -> None:
        """Show the rest, and leave the cursor at the beginning of a line."""
