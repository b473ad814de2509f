"""``python -m benchmarks.weights``: what 8-bit weights cost the embedded model in accuracy.

Reads pages of ours with the model's full weights and with the 8-bit copy of its preparation, each
in a process of its own, and prints as JSON: the perplexity, how often the likeliest next token is
the same one, and for how many tokens greedy continuations agree.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/sampler.md", "docs/security.md", "docs/load.md")
NUM_TOKENS = 1024  # of each page
NUM_PROMPTS, PROMPT_TOKENS, REPLY_TOKENS = 32, 48, 64


def main() -> None:
    """Compare both, or with ``--folder`` measure one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    folder = parser.parse_args().folder
    if folder:
        sys.stdout.write(f"\n{json.dumps(measure(folder))}\n")
        return
    from server.hub.model_resolution import prepare_int8_copy, resolve_model

    model = resolve_model(None)
    full, int8 = (
        run_child(folder)
        for folder in (model.path_or_hub_id, prepare_int8_copy(model).path_or_hub_id)
    )
    print(json.dumps(compare(full, int8), indent=2))


def run_child(folder: str) -> dict[str, Any]:
    """Return the measurements of the model in `folder`."""
    command = [sys.executable, "-m", "benchmarks.weights", "--folder", folder]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found = next(line for line in done.stdout.splitlines() if line.startswith(b"{"))
    return dict(json.loads(found))


def measure(folder: str) -> dict[str, Any]:
    """Return log-probabilities and likeliest tokens of the pages, and greedy replies."""
    from server.engine.cpu import choose_cpu_settings

    given = {"model": folder, "enforce_eager": True}
    settings = choose_cpu_settings(given)
    settings.apply_environment()
    os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0")
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    llm = LLM(**{**settings.options, **given, "max_model_len": 2048})
    tokenizer = llm.get_tokenizer()
    pages = [
        tokenizer.encode((ROOT / page).read_text(encoding="utf-8"))[:NUM_TOKENS] for page in PAGES
    ]
    scored = llm.generate(
        [TokensPrompt(prompt_token_ids=page) for page in pages],
        SamplingParams(max_tokens=1, prompt_logprobs=1),
        use_tqdm=False,
    )
    logprobs, likeliest = [], []
    for page, output in zip(pages, scored, strict=True):
        for token_id, place in zip(page[1:], output.prompt_logprobs[1:], strict=True):
            logprobs.append(place[token_id].logprob)
            likeliest.append(min(place, key=lambda id_: place[id_].rank))
    text = [token_id for page in pages for token_id in page]
    prompts = [
        TokensPrompt(prompt_token_ids=text[start : start + PROMPT_TOKENS])
        for start in range(0, NUM_PROMPTS * PROMPT_TOKENS, PROMPT_TOKENS)
    ]
    greedy = SamplingParams(max_tokens=REPLY_TOKENS, temperature=0, ignore_eos=True)
    replies = [
        list(output.outputs[0].token_ids)
        for output in llm.generate(prompts, greedy, use_tqdm=False)
    ]
    return {"logprobs": logprobs, "likeliest": likeliest, "replies": replies}


def compare(full: dict[str, Any], int8: dict[str, Any]) -> dict[str, Any]:
    """Return perplexities and agreement."""
    same = [a == b for a, b in zip(full["likeliest"], int8["likeliest"], strict=True)]
    agreeing = [
        next((n for n, (a, b) in enumerate(zip(x, y, strict=True)) if a != b), len(x))
        for x, y in zip(full["replies"], int8["replies"], strict=True)
    ]
    return {
        "tokens": len(same) + len(PAGES),
        "perplexity": {
            name: round(math.exp(-sum(side["logprobs"]) / len(side["logprobs"])), 3)
            for name, side in (("full", full), ("int8", int8))
        },
        "same likeliest token": round(sum(same) / len(same), 4),
        "greedy replies": {
            "tokens each": REPLY_TOKENS,
            "identical": sum(n == REPLY_TOKENS for n in agreeing),
            "of": len(agreeing),
            "tokens until they differ, mean": round(sum(agreeing) / len(agreeing), 1),
        },
    }


if __name__ == "__main__":
    main()
