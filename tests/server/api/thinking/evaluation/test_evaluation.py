"""What is known of a model: its evaluation, its efforts in tokens, whether thoughts are shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from clients.evaluation.report import read_report
from server.hub.model_resolution import EMBEDDED_MODELS, ShippedFolder
from server.model.evaluation import FILE_NAME, EvaluationFileError, find_evaluation
from tests.server.conftest import MODEL, Serve
from tests.server.keys.conftest import KeyFile, make_entry
from thinking.budget import DEFAULT_EFFORT_TOKENS

SECRET = "sk-alice-0123456789abcdef"
PATH = "/v1/thinking/evaluation"


def find_shipped() -> Path:
    shipped = EMBEDDED_MODELS["thinker"]
    assert isinstance(shipped, ShippedFolder)
    return shipped.path


async def test_the_report_of_thinking_eval_is_what_is_returned(serve: Serve) -> None:
    report = find_shipped() / FILE_NAME
    served = serve(evaluation_file=str(report))
    found = (await served.http.get(PATH, params={"model": MODEL})).json()
    points = read_report(report).points
    assert [point["budget"] for point in found["points"]] == [point.budget for point in points]
    for point, original in zip(found["points"], points, strict=True):
        assert original.accuracy is not None
        assert point["accuracy"]["share"] == original.accuracy.share
    assert found["knee"] == {"budget": 80}
    assert (await served.http.get(PATH)).json() == found


async def test_a_model_without_an_evaluation_says_so(serve: Serve) -> None:
    response = await serve().http.get(PATH)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "evaluation_not_found"


async def test_the_evaluation_of_a_model_that_a_key_may_not_use_is_not_shown(
    serve: Serve, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path / "keys.toml")
    file.write(make_entry("alice", SECRET, models='["another"]'))
    report = str(find_shipped() / FILE_NAME)
    served = serve(keys_file=str(file.path), evaluation_file=report)
    headers = {"authorization": f"Bearer {SECRET}"}
    response = await served.http.get(PATH, params={"model": MODEL}, headers=headers)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_an_evaluation_beside_the_weights_is_found(tmp_path: Path) -> None:
    assert find_evaluation(None, str(tmp_path)) is None
    (tmp_path / FILE_NAME).write_bytes((find_shipped() / FILE_NAME).read_bytes())
    found = find_evaluation(None, str(tmp_path))
    assert found is not None
    assert found.tasks.num_tasks == 200


@pytest.mark.parametrize(
    "change", [{"format": "thinking-eval/2"}, {"points": [{"budget": 1}]}, {"tasks": None}]
)
def test_a_file_that_is_no_report_is_refused_at_the_start(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "report.json"
    report = json.loads((find_shipped() / FILE_NAME).read_text())
    path.write_text(json.dumps(report | change))
    with pytest.raises(EvaluationFileError, match="not a report of thinking eval"):
        find_evaluation(str(path), "")
    with pytest.raises(EvaluationFileError, match="No such file"):
        find_evaluation(str(tmp_path / "missing.json"), "")


async def test_a_model_card_says_what_an_effort_means_and_whether_thoughts_are_shown(
    serve: Serve, tmp_path: Path
) -> None:
    served = serve(effort_tokens={"low": 77})
    (card,) = (await served.http.get("/v1/models")).json()["data"]
    expected = {effort.value: tokens for effort, tokens in DEFAULT_EFFORT_TOKENS.items()}
    assert card["thinking"]["effort_tokens"] == expected | {"low": 77}
    assert card["thinking"]["include_reasoning"]
    assert (await served.http.get(f"/v1/models/{MODEL}")).json() == card
    hidden = serve(show_thoughts=False)
    (card,) = (await hidden.http.get("/v1/models")).json()["data"]
    assert not card["thinking"]["include_reasoning"]
    file = KeyFile(tmp_path / "keys.toml")
    file.write(make_entry("alice", SECRET, show_thoughts="false"))
    served = serve(keys_file=str(file.path))
    headers = {"authorization": f"Bearer {SECRET}"}
    (card,) = (await served.http.get("/v1/models", headers=headers)).json()["data"]
    assert not card["thinking"]["include_reasoning"]
