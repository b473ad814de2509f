"""A conversation in a pseudo-terminal, against our app."""

import stat
from pathlib import Path

from tests.clients.chat.conftest import AnsweringModel, Start
from tests.clients.pseudo_terminal import ALT_ENTER, CTRL_C, CTRL_D, TAB, UP, PseudoTerminal

PROMPT = "thoughts off"  # of the line at the bottom


def ask(terminal: PseudoTerminal, text: str, number: int) -> str:
    """Type a question and return the text once its receipt, of that number, is there."""
    terminal.type(text)
    return terminal.wait_for("[thought", count=number)


def test_the_budget_can_be_changed(chat_url: str, start: Start) -> None:
    with start(chat_url, "--budget", "0") as terminal:
        terminal.wait_for(PROMPT)
        assert "thought 0 of 0 tokens" in ask(terminal, "first", 1)
        terminal.type("/budget 20")
        terminal.wait_for("budget 20")
        assert "thought 20 of 20 tokens (budget)" in ask(terminal, "second", 2)
        terminal.type("/effort high")
        terminal.wait_for("effort high")
        text = ask(terminal, "third", 3)
        assert "Answer to third" in text
        terminal.type("/receipt")
        assert "set by reasoning_effort" in terminal.wait_for("finish_reason")
        terminal.type("/budget default")
        terminal.wait_for("default budget")
        terminal.type("", end=CTRL_D)
        assert terminal.wait_end() == 0


def test_thoughts_are_shown_once_they_are_turned_on(chat_url: str, start: Start) -> None:
    with start(chat_url, "--budget", "64") as terminal:
        terminal.wait_for(PROMPT)
        assert "aaaa" not in ask(terminal, "first", 1)
        terminal.type("/thoughts on")
        terminal.wait_for("thoughts are shown")
        text = ask(terminal, "second", 2)
        assert "a" * 40 + "\n\nAnswer to second\n" in text
        terminal.type("/thoughts off")
        terminal.wait_for("thoughts are hidden")


def test_an_answer_is_rendered_as_markdown(chat_url: str, start: Start) -> None:
    with start(chat_url) as terminal:
        terminal.wait_for(PROMPT)
        text = ask(terminal, "code", 1)
    assert "Look:\n\n  print(1)\n\n • one\n • two\n\nThe end.\n[thought" in text


def test_an_answer_longer_than_the_screen_is_there_wholly_and_once(
    chat_url: str, start: Start
) -> None:
    with start(chat_url, columns=40, lines=10) as terminal:
        terminal.wait_for(PROMPT)
        text = ask(terminal, "many", 1)
    for number in range(40):
        assert text.count(f"Paragraph {number}.") == 1


def test_no_escape_sequence_of_an_answer_reaches_the_terminal(chat_url: str, start: Start) -> None:
    with start(chat_url) as terminal:
        terminal.wait_for(PROMPT)
        text = ask(terminal, "traps", 1)
        raw = bytes(terminal.raw)
    assert "<b>bold</b> click (http://evil.example/)" in text
    for sequence in (b"\x1b]0;owned", b"\x1b[2J", b"\x1b]8;", b"\x9b31m", b"\x1b[31m!"):
        assert sequence not in raw


def test_a_narrow_terminal_has_room_for_the_bar(chat_url: str, start: Start) -> None:
    with start(chat_url, "--budget", "1000", columns=24) as terminal:
        terminal.wait_for("/help")
        terminal.type("long")
        terminal.wait_until(lambda text: "/1000" in text)
        terminal.type("", end=CTRL_C)
        text = terminal.wait_for("(caller)")
    assert "After all." in text


def test_no_color_is_honoured(chat_url: str, start: Start) -> None:
    with start(chat_url, env={"NO_COLOR": "1"}) as terminal:
        terminal.wait_for(PROMPT)
        ask(terminal, "code", 1)
        raw = bytes(terminal.raw)
    for sequence in (b"\x1b[3%d", b"\x1b[9%d", b"38;5", b"38;2"):
        assert not any(sequence.replace(b"%d", b"%d" % n) + b"m" in raw for n in range(8))
    assert b"38;5" not in raw


def test_a_system_message_and_an_option_are_sent(
    chat_url: str, start: Start, answering_model: AnsweringModel
) -> None:
    with start(chat_url) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("/system Be brief.")
        terminal.wait_for("system message: Be brief.")
        terminal.type('/option wrap_up="Enough."')
        terminal.wait_for("thinking_options: {'wrap_up': 'Enough.'}")
        terminal.type("/option grace=much")
        terminal.wait_for("is not JSON")
        ask(terminal, "first", 1)
        assert "system\nBe brief.<|im_end|>" in answering_model.prompts[-1]


def test_the_conversation_is_sent_again_until_it_is_cleared(
    chat_url: str, start: Start, answering_model: AnsweringModel
) -> None:
    with start(chat_url) as terminal:
        terminal.wait_for(PROMPT)
        ask(terminal, "first", 1)
        ask(terminal, "second", 2)
        assert "Answer to first" in answering_model.prompts[-1]
        terminal.type("/retry")
        terminal.wait_for("[thought", count=3)
        assert answering_model.prompts[-1].count("second") == 1
        terminal.type("/clear")
        terminal.wait_for("a new conversation")
        ask(terminal, "third", 4)
        assert "first" not in answering_model.prompts[-1]


def test_an_unknown_command_names_the_nearest(chat_url: str, start: Start) -> None:
    with start(chat_url) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("/budgt 64")
        terminal.wait_for("unknown command /budgt: did you mean /budget?")
        terminal.type("/budget much")
        terminal.wait_for("should be a number of tokens, or default")
        terminal.type("//etc/hosts")
        terminal.wait_for("Answer to /etc/hosts")


def test_tab_completes_commands_and_values(chat_url: str, start: Start) -> None:
    with start(chat_url) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("/eff", end=TAB)
        terminal.wait_for("> /effort")
        terminal.type("mi", end=TAB)
        terminal.wait_for("> /effort minimal")
        terminal.type("")
        terminal.wait_for("effort minimal · thoughts off")
        terminal.type("/model scr", end=TAB)
        terminal.wait_for("> /model scripted")


def test_several_lines_and_pasted_binary_become_one_question(
    chat_url: str, start: Start, answering_model: AnsweringModel
) -> None:
    with start(chat_url) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("one", end=ALT_ENTER)
        terminal.paste(b"two\r\nthree\x00\x1b[2J\xff\x07!")
        terminal.wait_for("three")
        text = ask(terminal, "", 1)
        assert "Answer to one" in text
        assert "user\none\ntwo\nthree[2J\ufffd!<|im_end|>" in answering_model.prompts[-1]


def test_ctrl_c_at_the_prompt_clears_the_line(chat_url: str, start: Start) -> None:
    with start(chat_url) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("not this", end="")
        terminal.wait_for("> not this")
        terminal.type("", end=CTRL_C)
        terminal.wait_until(lambda text: "not this" not in text)
        assert "Answer to that" in ask(terminal, "that", 1)


def test_history_is_kept_in_a_file_of_the_user_alone(
    chat_url: str, start: Start, tmp_path: Path
) -> None:
    for expected in ("", "first"):
        with start(chat_url) as terminal:
            terminal.wait_for(PROMPT)
            # The history has been read once something that was typed is there.
            terminal.type("x", end="")
            terminal.wait_for("> x")
            terminal.type(CTRL_C, end=UP)
            if expected:
                terminal.wait_for(f"> {expected}")
                terminal.type("", end=CTRL_C)
            else:
                ask(terminal, "first", 1)
            terminal.type("", end=CTRL_D)
            assert terminal.wait_end() == 0
    file = tmp_path / "state" / "thinking" / "chat-history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "first" in file.read_text()


def test_history_can_be_turned_off(chat_url: str, start: Start, tmp_path: Path) -> None:
    with start(chat_url, "--no-history") as terminal:
        terminal.wait_for(PROMPT)
        ask(terminal, "first", 1)
    assert not (tmp_path / "state").exists()


def test_a_conversation_is_saved_once(chat_url: str, start: Start, tmp_path: Path) -> None:
    with start(chat_url, "--budget", "64") as terminal:
        terminal.wait_for(PROMPT)
        ask(terminal, "first", 1)
        terminal.type(f"/save {tmp_path}/c.md")
        terminal.wait_until(lambda text: (tmp_path / "c.md").exists())
        terminal.type(f"/save {tmp_path}/c.md")
        terminal.wait_for("name another file")
    assert "Answer to first" in (tmp_path / "c.md").read_text()
