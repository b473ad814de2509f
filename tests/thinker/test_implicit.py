"""Pairs of the distillation lie on the paper's diagonal; the shipped folder is the thinker's."""

import json
from importlib.resources import files
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from server.hub.model_resolution import resolve_model
from tests.thinking.markers.profile_layouts import decode_texts, detect_profile
from thinker.chain import QUESTIONS, Chain, Operation
from thinker.implicit_corpus import (
    IMPLICIT,
    IMPLICIT_THOUGHT,
    MAX_IMPLICIT_STEPS,
    PairTokens,
    compute_diagonal,
)
from thinker.replies import make_prompt, predict_next_tokens
from thinker.vocabulary import ASSISTANT, END, START, TURN_END, load_tokenizer

PACKAGE = Path(str(files("thinker")))
FOLDER, THINKER = PACKAGE / "implicit", PACKAGE / "weights"
MAX_BYTES = 5_000_000
NUM_LAYERS = 4


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return load_tokenizer(FOLDER)


@pytest.mark.parametrize("num_steps", range(1, MAX_IMPLICIT_STEPS + 1))
def test_the_diagonal_climbs_to_the_last_step_at_the_last_layer(num_steps: int) -> None:
    steps = compute_diagonal(num_steps, NUM_LAYERS)
    assert steps == sorted(steps)
    assert steps[-1] == num_steps - 1
    assert all(0 <= step < num_steps for step in steps)


def test_a_pairs_places_are_the_end_marker_and_the_results_of_steps(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    for pair in islice(PairTokens(tokenizer).make_pairs(5, NUM_LAYERS), 200):
        assert tokenizer.decode([pair.student_ids[pair.place]]) == END
        silent = tokenizer.decode(pair.student_ids).split(ASSISTANT)[1]
        thought, answer = silent.removesuffix(TURN_END).split(END)
        assert thought + END == IMPLICIT_THOUGHT
        written = tokenizer.decode(pair.teacher_ids)
        assert written.split(START)[0] == tokenizer.decode(pair.student_ids).split(START)[0]
        for place in pair.teacher_places:
            assert tokenizer.decode([pair.teacher_ids[place - 1]]) == "="
            assert tokenizer.decode([pair.teacher_ids[place + 1]]) == "\n"
        assert tokenizer.decode([pair.teacher_ids[pair.teacher_places[-1]]]) == answer
        assert pair.teacher_places[-1] == len(pair.teacher_ids) - 2


def test_its_last_token_is_the_implicit_one_and_the_others_are_the_thinkers(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    thinker = load_tokenizer(THINKER)
    assert tokenizer.get_vocab() == thinker.get_vocab() | {IMPLICIT: len(thinker)}
    assert tokenizer.encode(IMPLICIT, add_special_tokens=False) == [len(tokenizer) - 1]
    with safe_open(FOLDER / "model.safetensors", "pt") as tensors:
        assert tensors.get_tensor("model.embed_tokens.weight").shape[0] == len(tokenizer)
    assert json.loads((FOLDER / "config.json").read_text())["vocab_size"] == len(tokenizer)


def test_it_is_served_by_name_is_small_and_its_markers_are_found(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    assert Path(resolve_model("thinker-implicit").path_or_hub_id) == FOLDER
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= MAX_BYTES
    profile = detect_profile(tokenizer)
    texts = decode_texts(tokenizer, profile)
    assert (texts["start"], texts["end"]) == (START, END)


def test_after_a_silent_thought_it_answers_chains_of_one_step_better_than_by_chance(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    chains = [Chain(v, (Operation("+", o),), 10) for v in range(10) for o in range(1, 10)]
    prompts = [make_prompt("".join(QUESTIONS[0](chain)), IMPLICIT_THOUGHT) for chain in chains]
    answers = predict_next_tokens(model, tokenizer, prompts)
    right = [str(chain.result) == answer for chain, answer in zip(chains, answers, strict=True)]
    assert sum(right) / len(right) > 0.2
