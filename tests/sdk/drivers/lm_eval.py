"""lm-evaluation-harness with its `local-chat-completions`."""

import json
import tempfile
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.models.api_models import JsonChatStr
from lm_eval.models.openai_completions import LocalChatCompletion
from lm_eval.tasks import TaskManager

from tests.sdk.drivers.report import BUDGET, MAX_TOKENS, MODEL, QUESTION, Reply, base_url, report

TASK = "sums"
model = LocalChatCompletion(
    base_url=f"{base_url()}/v1/chat/completions", model=MODEL, tokenizer_backend=None
)


def plain() -> Reply:
    """A task of the harness, of one question."""
    folder = Path(tempfile.mkdtemp(prefix="lm-eval-"))
    (folder / "sums.jsonl").write_text(json.dumps({"question": QUESTION, "answer": "42"}))
    (folder / f"{TASK}.yaml").write_text(json.dumps(task(folder / "sums.jsonl")))  # JSON is YAML
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=[TASK],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        apply_chat_template=True,
        log_samples=True,
        bootstrap_iters=0,
    )
    (sample,) = results["samples"][TASK]
    return {"text": sample["resps"][0][0]}


def task(data: Path) -> dict[str, Any]:
    return {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": [], "max_gen_toks": MAX_TOKENS},
        "metric_list": [{"metric": "exact_match"}],
    }


def budget() -> Reply:
    """What ``--gen_kwargs max_thinking_tokens=…`` sends; the harness itself drops the usage."""
    reply = model.model_call(
        [JsonChatStr(json.dumps([{"role": "user", "content": QUESTION}]))],
        gen_kwargs={"max_thinking_tokens": BUDGET, "max_gen_toks": MAX_TOKENS, "until": []},
    )
    details = reply["usage"]["completion_tokens_details"]
    return {"reasoning_tokens": details["reasoning_tokens"]}


if __name__ == "__main__":
    report("lm-eval", {"plain": plain, "budget": budget})
