"""lm-evaluation-harness against the server: does it agree with ``thinking eval``?

Runs the same tasks as a local task of the harness, offline in a separate environment, then
compares the verdicts task by task. Knows the harness's YAML and its samples file.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.proof.claims import Claim, Verdict, format_percent
from benchmarks.proof.errors import FailedError
from benchmarks.proof.evaluation import CONCURRENCY, ROOT, EvalRun, find_task_file
from benchmarks.proof.experiment import Finding
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.servers import say
from benchmarks.proof.tables import format_table

TASKS = "chains-mod10"
HARNESS_TASK = "chains_mod10"
BUDGETS = (64, 128)  # on the slope, where verdicts are mixed, and above the knee
INSTALLER = ROOT / "deploy" / "client-env.sh"
COMMAND = ROOT / ".cache" / "clients" / "lm-eval" / "bin" / "lm_eval"
MAX_TOKENS = 300
FILTER = "number"


def run(laboratory: Laboratory) -> Finding:
    """Run the experiment that the module describes."""
    ours = laboratory.evaluate(
        EvalRun("lm_eval", TASKS, BUDGETS, temperature=0.0, max_completion_tokens=MAX_TOKENS)
    )
    folder = laboratory.make_folder("thinker") / "lm_eval"
    folder.mkdir(exist_ok=True)
    (folder / f"{HARNESS_TASK}.yaml").write_text(json.dumps(make_harness_task(), indent=2))
    _run_command([str(INSTALLER), "lm-eval"], folder / "install.log")
    rows, claims = [], []
    for budget in BUDGETS:
        verdicts = [outcome["right"] == 1 for outcome in ours.read_outcomes(budget)]
        theirs = _run_harness(laboratory, folder, budget)
        num_alike = count_agreements(verdicts, theirs)
        shares = [format_percent(sum(side) / len(side)) for side in (verdicts, theirs)]
        rows.append([str(budget), *shares, f"{num_alike} of {len(verdicts)}"])
        text = f"lm-eval and thinking eval agree on each task at budget {budget}"
        measured = f"{num_alike} of {len(verdicts)}"
        claims.append(Claim(text, measured, Verdict.from_bool(num_alike == len(verdicts))))
    head = ["budget", "thinking eval", "lm-eval", "the same verdict"]
    return Finding(format_table(head, rows), claims)


def make_harness_task() -> dict[str, Any]:
    """Return our task file as a task of the harness; JSON is valid YAML."""
    return {
        "task": HARNESS_TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(find_task_file(TASKS))}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": MAX_TOKENS},
        "filter_list": [
            {
                "name": FILTER,
                "filter": [
                    {"function": "regex", "regex_pattern": r"(-?\d+)", "group_select": -1},
                    {"function": "take_first"},
                ],
            }
        ],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }


def count_agreements(ours: Sequence[bool], theirs: Sequence[bool]) -> int:
    """Return how many verdicts are equal.

    Raises:
        ValueError: the two sides differ in length.
    """
    return sum(a == b for a, b in zip(ours, theirs, strict=True))


def read_samples(path: Path) -> list[bool]:
    """Return the verdicts in a samples file of the harness, in the order of the tasks."""
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = [sample for sample in samples if sample["filter"] == FILTER]
    return [s["exact_match"] == 1 for s in sorted(chosen, key=lambda s: int(s["doc_id"]))]


def _run_harness(laboratory: Laboratory, folder: Path, budget: int) -> list[bool]:
    url = laboratory.servers.serve("thinker")
    output = folder / f"budget-{budget}"
    say(f"lm_eval: {TASKS} at {budget}")
    server = {
        "base_url": f"{url}/chat/completions",
        "model": "thinker",
        "num_concurrent": CONCURRENCY,
        "tokenizer_backend": None,
    }
    command = [str(COMMAND), "--model", "local-chat-completions", "--tasks", HARNESS_TASK]
    command += ["--model_args", ",".join(f"{name}={value}" for name, value in server.items())]
    command += ["--include_path", str(folder), "--output_path", str(output)]
    command += ["--gen_kwargs", f"max_thinking_tokens={budget}"]
    command += ["--log_samples", "--apply_chat_template"]
    if laboratory.limit is not None:
        command += ["--limit", str(laboratory.limit)]
    for old in output.rglob("samples_*.jsonl"):
        old.unlink()
    _run_command(command, folder / f"budget-{budget}.log")
    (samples,) = output.rglob("samples_*.jsonl")
    return read_samples(samples)


def _run_command(command: Sequence[str], log: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OPENAI_API_KEY": "none"}
    with log.open("wb") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | offline, check=False
        )
    if done.returncode:
        raise FailedError(f"{Path(command[0]).name}: status {done.returncode}; see {log}")
