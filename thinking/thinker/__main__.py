"""``python -m thinking.thinker``: make the embedded model anew, or its examinations.

``train --output FOLDER`` writes an ordinary model folder: config, weights, tokenizer with
its chat template; ``exam --output FOLDER`` the held-out task files.
"""

import argparse
import json
import os
from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from thinking.thinker.batches import FragmentTokens, batches
from thinking.thinker.corpus import CorpusMix, examples
from thinking.thinker.exam import write_exams
from thinking.thinker.training import ModelShape, Recipe, new_model, train
from thinking.thinker.vocabulary import train_tokenizer

_TOKENIZER_EXAMPLES = 5000


def main() -> None:
    """Train and write the model folder."""
    parser = argparse.ArgumentParser(prog="python -m thinking.thinker", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train", help="train the thinker and write its folder")
    command.add_argument("--output", type=Path, required=True, help="the folder to write")
    command.add_argument("--begin-with", type=Path, metavar="FOLDER", help="train this one on")
    command.add_argument("--boxes", type=float, default=CorpusMix().boxes, help="their share")
    command.add_argument("--peak-rate", type=float, default=Recipe().peak_rate)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--minutes", type=float, default=Recipe().minutes)
    command.add_argument("--tokens", type=int, default=Recipe().num_tokens, help="at most so many")
    command.set_defaults(run=_train)
    exam = commands.add_parser("exam", help="write the held-out task files")
    exam.add_argument("--output", type=Path, required=True, help="an existing folder")
    exam.set_defaults(run=lambda arguments: write_exams(arguments.output))
    arguments = parser.parse_args()
    arguments.run(arguments)


def _train(arguments: argparse.Namespace) -> None:
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(os.cpu_count() or 1)
    mix = CorpusMix(boxes=arguments.boxes)
    model, tokenizer = _beginning(arguments)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    recipe = Recipe(arguments.tokens, arguments.minutes, peak_rate=arguments.peak_rate)
    corpus = examples(arguments.seed, mix)
    tokens = FragmentTokens(tokenizer)
    stream = batches(corpus, tokens, recipe.batch_tokens, tokenizer.pad_token_id)
    train(model, stream, recipe)
    write_folder(model, tokenizer, arguments.output)


def _beginning(arguments: argparse.Namespace) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    folder: Path | None = arguments.begin_with
    if folder is not None:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer
    sample = islice(examples(arguments.seed), _TOKENIZER_EXAMPLES)
    tokenizer = train_tokenizer("".join(f.text for f in example) for example in sample)
    eos_id, pad_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    return new_model(ModelShape(), len(tokenizer), eos_id, pad_id), tokenizer


def write_folder(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """An ordinary model folder; greedy by default, as there is one right answer."""
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config.temperature = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = {"temperature": 0.0, "eos_token_id": tokenizer.eos_token_id}
    Path(folder, "generation_config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
