"""The line that a person types: editing, keys, history, completion. Knows no replies."""

from collections.abc import Callable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.shortcuts import CompleteStyle

from clients.chat.completer import CommandCompleter
from clients.chat.history_file import find_history_path, make_private_file
from clients.control_characters import clean_paste

_MENU_LINES = 4


class ChatPrompt:
    """Prompt of a conversation."""

    def __init__(
        self,
        list_models: Callable[[], Sequence[str]],
        describe: Callable[[], str],
        history: History,
    ) -> None:
        self._session: PromptSession[str] = PromptSession(
            message="> ",
            multiline=True,
            prompt_continuation="· ",
            history=history,
            completer=CommandCompleter(list_models),
            complete_while_typing=False,
            complete_style=CompleteStyle.COLUMN,
            reserve_space_for_menu=_MENU_LINES,
            key_bindings=_make_key_bindings(),
            bottom_toolbar=lambda: FormattedText([("noreverse", describe())]),
            include_default_pygments_style=False,
        )

    async def read(self, draft: str = "") -> str:
        """Return the text that was typed; `draft` is there to begin with.

        Raises:
            EOFError: Ctrl-D was typed on an empty line.
        """
        typed = await self._session.prompt_async(default=draft, handle_sigint=False)
        return clean_paste(typed).strip()


def open_history(*, is_kept: bool) -> History:
    """Return the history in its file, or in memory.

    Raises:
        OSError: the file cannot be written.
    """
    if not is_kept:
        return InMemoryHistory()
    path = find_history_path()
    make_private_file(path)
    return FileHistory(str(path))


def _make_key_bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add(Keys.Enter)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            buffer.complete_state = None  # it takes what the menu shows
        else:
            buffer.validate_and_handle()

    @keys.add(Keys.Escape, Keys.Enter)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add(Keys.ControlC)
    def _(event: KeyPressEvent) -> None:
        # Not `reset`, which drops the history too until the next prompt.
        buffer = event.current_buffer
        buffer.history_forward(count=len(buffer.history.get_strings()) + 1)
        buffer.document = Document()

    @keys.add(Keys.BracketedPaste)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(clean_paste(event.data))

    return keys
