"""``python -m thinker``: train the embedded models again, or write their exams.

``train``, ``scorer``, ``implicit`` and ``tune`` each write an ordinary model folder: config,
weights, tokenizer with its chat template; ``exam`` writes the held-out task files;
``measure`` prints what the models can do. Knows the command line; not how anything is made.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from thinker.corpus import CorpusMix
from thinker.exam import write_exams
from thinker.fine_tuning import fine_tune, read_rows
from thinker.folder import THINKER, read_folder, write_folder
from thinker.implicit_training import ImplicitRecipe, train_implicit
from thinker.measures import MEASURES
from thinker.scorer_training import ScorerRecipe, train_scorer
from thinker.thinker_training import train_thinker
from thinker.training import Recipe

Run = Callable[[argparse.Namespace], None]
AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m thinker",
        description="Train the embedded models, write their exams, or measure them.",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    commands = parser.add_subparsers(required=True)
    train = _add_training_arguments(
        commands.add_parser("train", help="train the thinker"), Recipe(), _train_thinker
    )
    train.add_argument(
        "--begin-with", type=Path, metavar="FOLDER", help="continue training this model"
    )
    train.add_argument(
        "--boxes", type=float, default=CorpusMix().boxes, help="share of box examples"
    )
    _add_training_arguments(
        commands.add_parser("scorer", help="train thinker-scorer"), ScorerRecipe(), _train_scorer
    )
    implicit = commands.add_parser("implicit", help="train thinker-implicit")
    _add_training_arguments(implicit, ImplicitRecipe(), _train_implicit)
    implicit.add_argument("--distance", type=float, default=ImplicitRecipe().distance_weight)
    tune = commands.add_parser("tune", help="fine-tune the thinker on an export of judged thoughts")
    tune.add_argument(
        "--data", type=Path, required=True, help="output of `thinking export --format sft`"
    )
    tune.add_argument("--begin-with", type=Path, metavar="FOLDER", default=THINKER)
    tune.add_argument("--output", type=Path, required=True, help="the folder to write")
    tune.set_defaults(run=_tune)
    exam = commands.add_parser("exam", help="write the held-out task files")
    exam.add_argument("--output", type=Path, required=True, help="an existing folder")
    exam.set_defaults(run=lambda arguments: write_exams(arguments.output))
    measure = commands.add_parser("measure", help="print what the models can do")
    measure.add_argument("what", choices=MEASURES)
    measure.set_defaults(run=lambda arguments: MEASURES[arguments.what]())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.run(arguments)


def _add_training_arguments(
    command: argparse.ArgumentParser, recipe: Recipe, run: Run
) -> argparse.ArgumentParser:
    """Add the arguments that all trainings share, with the recipe's own defaults."""
    command.add_argument("--output", type=Path, required=True, help="the folder to write")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--minutes", type=float, default=recipe.minutes)
    command.add_argument("--tokens", type=int, default=recipe.num_tokens, help="maximum tokens")
    command.add_argument("--peak-rate", type=float, default=recipe.peak_rate)
    command.set_defaults(run=run)
    return command


def _train_thinker(arguments: argparse.Namespace) -> None:
    mix = CorpusMix(boxes=arguments.boxes)
    recipe = _make_recipe(Recipe(), arguments)
    train_thinker(arguments.seed, mix, recipe, arguments.begin_with, arguments.output)


def _train_scorer(arguments: argparse.Namespace) -> None:
    train_scorer(arguments.seed, _make_recipe(ScorerRecipe(), arguments), arguments.output)


def _train_implicit(arguments: argparse.Namespace) -> None:
    recipe = replace(ImplicitRecipe(), distance_weight=arguments.distance)
    train_implicit(arguments.seed, _make_recipe(recipe, arguments), arguments.output)


def _tune(arguments: argparse.Namespace) -> None:
    model, tokenizer = read_folder(arguments.begin_with)
    fine_tune(model, tokenizer, read_rows(arguments.data))
    write_folder(model, tokenizer, arguments.output)


def _make_recipe(recipe: AnyRecipe, arguments: argparse.Namespace) -> AnyRecipe:
    return replace(
        recipe,
        num_tokens=arguments.tokens,
        minutes=arguments.minutes,
        peak_rate=arguments.peak_rate,
    )


if __name__ == "__main__":
    main()
