"""Fine-tuning on an export: what is learned of a line, and the error for a broken one."""

import json
from pathlib import Path

import pytest
import torch

from thinker.batches import IGNORED
from thinker.fine_tuning import Row, encode, fine_tune, read_rows
from thinker.folder import THINKER, read_folder
from thinker.vocabulary import ASSISTANT, END, START, TURN_END

ROW: Row = {
    "prompt": [{"role": "user", "content": "7+3*9 mod 10 ="}],
    "completion": [{"role": "assistant", "content": f"{START}7+3=0\n0*9=0\n{END}0"}],
}


def test_only_the_completion_and_the_turns_end_are_learned() -> None:
    _, tokenizer = read_folder(THINKER)
    token_ids, labels = encode(tokenizer, ROW)
    text = tokenizer.decode(token_ids, skip_special_tokens=False)
    learned = tokenizer.decode([i for i in labels if i != IGNORED], skip_special_tokens=False)
    assert learned == ROW["completion"][0]["content"] + TURN_END
    assert text.endswith(ASSISTANT + learned)
    assert len(token_ids) == len(labels)


def test_an_example_becomes_more_probable_by_training() -> None:
    model, tokenizer = read_folder(THINKER)
    token_ids, labels = (torch.tensor([ids]) for ids in encode(tokenizer, ROW))

    def compute_loss() -> float:
        with torch.no_grad():
            return float(model(input_ids=token_ids, labels=labels).loss)

    before = compute_loss()
    fine_tune(model, tokenizer, [ROW] * 64)
    assert compute_loss() < before


@pytest.mark.parametrize("line", ['{"prompt": []}', "[]"])
def test_a_line_that_is_no_example_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{line}\n")
    with pytest.raises(ValueError, match=r"x\.jsonl:2: should have"):
        read_rows(path)
