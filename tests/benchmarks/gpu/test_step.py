"""The stage that measures a step, on CPU tensors: everything but the figures."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("vllm")

from benchmarks.gpu import step, step_rows
from benchmarks.gpu.laws import LawError
from benchmarks.gpu.random_model import END, START, VOCAB_SIZE, make_random_model
from benchmarks.gpu.records import LAW_BROKEN, Check, Journal, Problem, StepTime, read_journal
from benchmarks.gpu.settings import Deadline, Settings, read_settings
from benchmarks.gpu.speculative import compute_acceptance
from benchmarks.gpu.step_cases import StepCase, make_budget_case, make_cases
from benchmarks.gpu.step_rows import ThinkingRows, Worker, find_slot_arrays
from tests.server.conftest import TOKENIZER
from thinking.tracker import ThinkingTracker

pytestmark = pytest.mark.slow  # vLLM takes ten seconds to import
ROWS, LENGTH = 3, 40


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("gpu")
    TOKENIZER.save_pretrained(folder / "tokenizer")
    make_random_model(folder / "tokenizer", folder / "model", is_tiny=True)
    return Settings(str(folder / "model"), folder, "cpu")


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Worker:
    return step.make_worker(settings)


def make_rows(worker: Worker) -> tuple[ThinkingRows, ThinkingTracker]:
    """Return rows that have measured nothing yet, with a token to read, and their tracker."""
    case = make_budget_case(worker.markers, ROWS, LENGTH, num_steps=1)
    assert case.plan is not None
    rows = ThinkingRows(worker, ROWS, case.plan, case.output, case.planned)
    rows.step()
    rows.sample()
    return rows, ThinkingTracker(worker.markers.tables, case.plan)


def test_every_case_runs_and_keeps_the_laws(settings: Settings, worker: Worker) -> None:
    step.run(settings, Journal(settings.output / "step.jsonl"), Deadline(300))
    records = list(read_journal(settings.output / "step.jsonl"))
    measured = [record.option for record in records if isinstance(record, StepTime)]
    assert measured == [case.option for case in make_cases(worker.markers, settings.sizes)]
    problems = [record for record in records if isinstance(record, Problem)]
    assert all(problem.reason.startswith("skipped: its kernels") for problem in problems)
    assert sum(record.replies for record in records if isinstance(record, Check)) > 0


def test_a_stage_without_time_says_so_for_each_case(settings: Settings, tmp_path: Path) -> None:
    step.run(settings, Journal(tmp_path / "step.jsonl"), Deadline(0))
    problems = [r for r in read_journal(tmp_path / "step.jsonl") if isinstance(r, Problem)]
    assert problems
    assert {problem.reason for problem in problems} == {"no time left"}


def test_slots_copied_from_the_first_one_behave_like_replayed_ones(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_rows, "MAX_REPLAYED_TOKENS", 0)
    rows, tracker = make_rows(worker)
    rows.check_ending(tracker)
    assert tracker.num_hidden == tracker.plan.budget


def test_a_slot_that_was_not_copied_breaks_the_law(worker: Worker) -> None:
    rows, tracker = make_rows(worker)
    for array in find_slot_arrays(rows.processor, ROWS + step_rows.SPARE_SLOTS):
        array[ROWS - 1] = array[ROWS]  # of no request
    with pytest.raises(LawError, match=f"1 of {ROWS} rows"):
        rows.check_ending(tracker)


def test_a_budget_that_ends_one_token_late_breaks_the_law(worker: Worker) -> None:
    rows, tracker = make_rows(worker)
    earlier = replace(tracker.plan, budget=tracker.plan.budget - 1)
    with pytest.raises(LawError, match=f"{ROWS} of {ROWS} rows"):
        rows.check_ending(ThinkingTracker(tracker.tables, earlier))


def test_a_broken_law_is_reported_beside_the_figure(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_law(rows: ThinkingRows, tracker: ThinkingTracker) -> None:
        raise LawError("1 of 3 rows")

    monkeypatch.setattr(ThinkingRows, "check_ending", break_law)
    case = make_budget_case(worker.markers, ROWS, LENGTH, num_steps=1)
    step.measure_case(worker, Journal(tmp_path / "step.jsonl"), case, 1)
    reasons = [r.reason for r in read_journal(tmp_path / "step.jsonl") if isinstance(r, Problem)]
    assert f"{LAW_BROKEN}: 1 of 3 rows" in reasons


def test_the_random_model_has_the_markers_as_single_tokens(worker: Worker) -> None:
    profile, tokenizer = worker.markers.profile, worker.markers.tokenizer
    assert tokenizer.convert_ids_to_tokens(list(profile.start_token_ids)) == [START]
    assert tokenizer.convert_ids_to_tokens(list(profile.end_token_ids)) == [END]
    assert worker.markers.vocab_size == VOCAB_SIZE


def test_no_word_of_a_case_has_a_meaning_to_the_sampler(worker: Worker) -> None:
    markers = worker.markers
    special = {*markers.profile.end_token_ids, *markers.profile.stop_token_ids}
    special |= {*markers.profile.start_token_ids, *markers.tables.boundary_token_ids}
    assert not special & set(markers.choose_word_ids())


def test_cases_come_by_worth(worker: Worker) -> None:
    sizes = Settings("", Path()).sizes
    first: StepCase = next(make_cases(worker.markers, sizes))
    assert (first.rows, len(first.output)) == (256, 8000)
    names = [case.name for case in make_cases(worker.markers, sizes)]
    assert len(set(names)) == len(names) == len(sizes.rows) * len(sizes.lengths) + 7


def test_settings_survive_their_file(settings: Settings, tmp_path: Path) -> None:
    settings.write(tmp_path / "settings.json")
    assert read_settings(tmp_path / "settings.json") == settings


def test_acceptance_is_of_the_drafts_of_the_round() -> None:
    assert compute_acceptance((100, 90), (140, 100)) == 0.25
    assert compute_acceptance((100, 90), (100, 90)) is None
