"""The exams in the repository come from the generator, and their answers are right."""

import json
import re
from importlib.resources import files
from itertools import islice
from pathlib import Path

import pytest

from thinker.corpus import make_examples
from thinker.exam import EXAMS, write_exams

SETS = Path(str(files("clients.evaluation"))) / "data"
NUM_TRAINED = 20_000


def read_tasks(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (SETS / f"{name}.jsonl").read_text().splitlines()]


def test_the_files_are_those_that_the_generator_writes(tmp_path: Path) -> None:
    write_exams(tmp_path)
    for name in EXAMS:
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (SETS / f"{name}.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("name", "modulus"), [("chains-mod10", 10), ("chains-mod100", 100), ("chains-short", 10)]
)
def test_the_answers_of_the_chains_are_right(name: str, modulus: int) -> None:
    words = {"Add": "+", "Subtract": "-", "Multiply": "*", "plus": "+", "minus": "-", "times": "*"}
    for task in read_tasks(name):
        question = re.sub(r"(mod|modulo) \d+", "", task["question"])
        signs = re.findall("|".join([*words, r"[-+*]"]), question)
        start, *operands = map(int, re.findall(r"\d+", question))
        value = start
        for sign, operand in zip(signs, operands, strict=True):
            value = {
                "+": value + operand,
                "-": value - operand,
                "*": value * operand,
            }[words.get(sign, sign)] % modulus
        assert value == int(task["answer"])


@pytest.mark.parametrize("modulus", [10, 100])
def test_no_question_of_an_examination_is_met_in_training(modulus: int) -> None:
    trained = {example[1].text for example in islice(make_examples(1), NUM_TRAINED)}
    questions = {task["question"] for task in read_tasks(f"chains-mod{modulus}")}
    assert not questions & trained
    assert len(questions) == 200
