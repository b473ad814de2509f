"""The whole loop: ask, judge by known answers, export, fine-tune, and be better for it.

The thinker was trained on chains of up to 16 steps and is right on a third of those of 17
and 18. It learns from the thoughts of its own that led there (expert iteration, as in STaR,
arXiv 2203.14465).
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import httpx
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from clients.cli import main
from tests.e2e.shared import ThinkerServer
from thinker.chain import MAX_STEPS, QUESTIONS, make_random_chain
from thinker.fine_tuning import fine_tune, read_rows
from thinker.folder import THINKER, read_folder
from thinker.vocabulary import ASSISTANT, END, START, TURN_END, USER

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
NUM_ASKED = 250
SAMPLES = 4
NUM_HELD_OUT = 300
TEMPERATURE = 0.7
Tasks = Sequence[tuple[str, str]]


def chains_of(seed: str, number: int, least: int) -> Tasks:
    """Of `least` steps and of one more."""
    rng = Random(seed)
    chains = [make_random_chain(rng, 10, least + i % 2) for i in range(number)]
    return [("".join(rng.choice(QUESTIONS)(chain)), str(chain.result)) for chain in chains]


async def ask_all(server: ThinkerServer, tasks: Tasks) -> None:
    room = asyncio.Semaphore(24)

    async def ask(client: httpx.AsyncClient, question: str, seed: int) -> None:
        fields = {
            "model": "thinker",
            "messages": [{"role": "user", "content": question}],
            "max_thinking_tokens": 200,
            "temperature": TEMPERATURE,
            "seed": seed,
            "n": SAMPLES,
        }
        async with room:
            (await client.post("/v1/chat/completions", json=fields)).raise_for_status()

    async with httpx.AsyncClient(base_url=server.base_url, timeout=240) as client:
        await asyncio.gather(
            *(ask(client, question, SAMPLES * i) for i, (question, _) in enumerate(tasks))
        )


@torch.inference_mode()
def share_right(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tasks: Tasks) -> float:
    """Greedy, so that nothing but the weights makes the difference."""
    prompts = [USER + question + TURN_END + ASSISTANT + START for question, _ in tasks]
    encoded = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    pad_id, length = tokenizer.pad_token_id, max(map(len, encoded))
    token_ids = torch.tensor([[pad_id] * (length - len(ids)) + ids for ids in encoded])
    written = model.generate(
        input_ids=token_ids,
        attention_mask=(token_ids != pad_id).long(),
        do_sample=False,
        max_new_tokens=160,
        pad_token_id=pad_id,
    )
    texts = [tokenizer.decode(row[length:], skip_special_tokens=False) for row in written]
    answers: list[str] = [text.rpartition(END)[2].partition(TURN_END)[0].strip() for text in texts]
    num_right: int = sum(a == right for a, (_, right) in zip(answers, tasks, strict=True))
    return num_right / len(tasks)


def test_a_model_learns_from_its_own_judged_thoughts(
    thinker_server: ThinkerServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = ["--url", f"{thinker_server.base_url}/v1"]
    asked = chains_of("asked", NUM_ASKED, MAX_STEPS + 1)
    asyncio.run(ask_all(thinker_server, asked))
    answers = [json.dumps({"prompt": question, "answer": answer}) for question, answer in asked]
    Path("answers.jsonl").write_text("\n".join(answers))
    assert main(["verify", "answers.jsonl", *url]) == 0
    assert main(["export", "--format", "sft", "--output", "round1.jsonl", *url]) == 0
    rows = read_rows(Path("round1.jsonl"))
    report = json.loads(Path("round1.report.json").read_text())
    assert len(rows) > NUM_ASKED / 4
    assert report

    model, tokenizer = read_folder(THINKER)
    held_out = chains_of("held out", NUM_HELD_OUT, MAX_STEPS + 1)
    known = chains_of("known", NUM_HELD_OUT // 3, MAX_STEPS // 2)
    before = share_right(model, tokenizer, held_out)
    knew = share_right(model, tokenizer, known)
    fine_tune(model, tokenizer, rows)
    after = share_right(model, tokenizer, held_out)
    assert after > before + 0.05, f"{before:.1%} before, {after:.1%} after {len(rows)} examples"
    assert share_right(model, tokenizer, known) > knew - 0.03
