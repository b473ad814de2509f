"""Completion of commands and their values. Prompt-toolkit shows what it finds."""

from collections.abc import Callable, Iterable, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from clients.chat.commands import COMMANDS


class CommandCompleter(Completer):
    """Completes a line that begins with a slash."""

    def __init__(self, list_models: Callable[[], Sequence[str]]) -> None:
        self._list_models = list_models
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """See :class:`prompt_toolkit.completion.Completer`."""
        name, space, argument = document.text_before_cursor.partition(" ")
        if not name.startswith("/"):
            return
        if not space:
            for known, command in COMMANDS.items():
                if known.startswith(name):
                    text = f"{known} " if command.argument else known
                    yield Completion(text, -len(name), display=known, display_meta=command.help)
        elif name == "/save":
            yield from self._paths.get_completions(Document(argument), event)
        elif name in COMMANDS:
            values = self._list_models() if name == "/model" else COMMANDS[name].values
            for value in values:
                if value.startswith(argument):
                    yield Completion(value, -len(argument))
