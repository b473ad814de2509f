"""Ctrl-C in a reply: the thought ends first, then the reply; what was written is kept."""

from tests.clients.chat.conftest import AnsweringModel, Start
from tests.clients.pseudo_terminal import CTRL_C

PROMPT = "thoughts off"


def test_ctrl_c_ends_the_thought_and_the_answer_comes(chat_url: str, start: Start) -> None:
    with start(chat_url, "--budget", "3000") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("long")
        terminal.wait_for("/3000")
        terminal.type("", end=CTRL_C)
        text = terminal.wait_for("of 3000 tokens (caller)")
        assert "ending the thought" in text
        assert "After all." in text
        terminal.type("/receipt")
        terminal.wait_for("caller: you ended it")


def test_a_second_ctrl_c_stops_the_reply_and_keeps_what_was_written(
    chat_url: str, start: Start, answering_model: AnsweringModel
) -> None:
    with start(chat_url, "--budget", "0") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("endless")
        terminal.wait_for("word word")
        terminal.type("", end=CTRL_C)
        terminal.wait_for("[stopped; what was written is part of the conversation]")
        terminal.type("after")
        terminal.wait_for("Answer to after")
        assert "assistant\nword word" in answering_model.prompts[-1]


def test_a_reply_that_is_stopped_while_it_thinks_gives_the_question_back(
    chat_url: str, start: Start, answering_model: AnsweringModel
) -> None:
    with start(chat_url, "--budget", "3000", "--option", "answer_reserve=1") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("long")
        terminal.wait_for("/3000")
        terminal.type(CTRL_C, end=CTRL_C)
        # The answer may be quicker than the second one.
        text = terminal.wait_until(lambda text: "[stopped" in text or "(caller)" in text)
        if "[stopped]" in text:
            terminal.wait_for("> long", count=2)


def test_ctrl_c_ends_the_thought_of_a_single_question(chat_url: str, start: Start) -> None:
    with start(chat_url, "long", "--budget", "3000") as terminal:
        terminal.wait_for("/3000")
        terminal.type("", end=CTRL_C)
        text = terminal.wait_for("(caller)")
        assert "After all." in text
        assert terminal.wait_end() == 0


def test_a_single_question_that_is_stopped_says_so(chat_url: str, start: Start) -> None:
    with start(chat_url, "endless", "--budget", "0") as terminal:
        terminal.wait_for("word")
        terminal.type("", end=CTRL_C)
        assert terminal.wait_end() == 130
