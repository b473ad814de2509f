"""Evaluation of a model by ``thinking eval``: accuracy at each of several budgets.

Read from the report that ``--evaluation-file`` names, or else from a file beside the model's
weights. Measures nothing.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from server.settings.models import ModelsError

# Beside a model's weights.
FILE_NAME = "thinking_evaluation.json"


class EvaluationFileError(ModelsError):
    """The file of an evaluation cannot be read, or is none."""


class EvaluatedAccuracy(BaseModel):
    """Share of right answers, 0 to 1, with the ends of its 95 % interval."""

    share: float
    interval: tuple[float, float]


class EvaluatedPoint(BaseModel):
    """Results at a budget: a number of tokens, an effort, or "default"."""

    budget: int | str
    accuracy: EvaluatedAccuracy | None
    mean_reasoning_tokens: float | None = None
    seconds_p50: float | None = None


class EvaluatedTasks(BaseModel):
    """Tasks that were asked."""

    name: str
    num_tasks: int


class EvaluationKnee(BaseModel):
    """Smallest budget that comes near the best accuracy."""

    budget: int | str


class Evaluation(BaseModel):
    """Part of a report of ``thinking eval`` that a page shows; the rest is ignored."""

    model_config = ConfigDict(frozen=True)

    format: Literal["thinking-eval/1"]
    label: str
    created: str
    tasks: EvaluatedTasks
    points: list[EvaluatedPoint]
    knee: EvaluationKnee | None = None


def find_evaluation(path: str | None, model_folder: str) -> Evaluation | None:
    """Return the evaluation in the file `path`, or that beside the weights; None: there is none.

    Raises:
        EvaluationFileError: the file cannot be read, or is not a report of ``thinking eval``.
    """
    beside = Path(model_folder) / FILE_NAME
    if path is None and not beside.is_file():
        return None
    file = beside if path is None else Path(path)
    try:
        return Evaluation.model_validate_json(file.read_bytes())
    except OSError as error:
        raise EvaluationFileError(f"evaluation: {file}: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise EvaluationFileError(
            f"evaluation: {file}: not a report of thinking eval ({where}: {problem['msg']})"
        ) from None
