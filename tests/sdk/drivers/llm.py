"""Simon Willison's `llm`: a model from its own YAML of further OpenAI-compatible models."""

import json
from typing import Any

import llm

from tests.sdk.drivers.report import MODEL, QUESTION, Reply, base_url, report, streamed
from tests.sdk.drivers.weather import WEATHER_QUESTION, Weather

MINIMAL_EFFORT_TOKENS = 256  # the server's table
MAX_TOKENS = 2 * MINIMAL_EFFORT_TOKENS
ABILITIES = {"reasoning": True, "supports_schema": True, "supports_tools": True}
MODELS = [
    {"model_id": name, "model_name": MODEL, "api_base": f"{base_url()}/v1", **ABILITIES, **more}
    for name, more in {"chat": {}, "responses": {"responses": True}}.items()
]


def ask(question: str = QUESTION, *, name: str = "chat", **fields: Any) -> Any:
    return llm.get_model(name).prompt(question, max_tokens=MAX_TOKENS, temperature=0, **fields)


def plain() -> Reply:
    return {"text": ask(stream=False).text()}


def stream() -> Reply:
    return streamed(list(ask()))


def budget() -> Reply:
    """By effort: it has no way to say a count."""
    response = ask(stream=False, reasoning_effort="minimal")
    response.text()
    return {
        "reasoning_tokens": reasoning_tokens(response, "completion_tokens_details"),
        "budget": MINIMAL_EFFORT_TOKENS,
    }


def structured() -> Reply:
    response = ask(WEATHER_QUESTION, schema=Weather, reasoning_effort="none")
    return {"value": json.loads(response.text())}


def responses() -> Reply:
    response = ask(name="responses", stream=False, reasoning_effort="minimal")
    text = response.text()
    return {
        "text": text,
        "reasoning_tokens": reasoning_tokens(response, "output_tokens_details"),
        "budget": MINIMAL_EFFORT_TOKENS,
    }


def reasoning_tokens(response: Any, details: str) -> int:
    return int(response.token_details[details]["reasoning_tokens"])


if __name__ == "__main__":
    (llm.user_dir() / "extra-openai-models.yaml").write_text(json.dumps(MODELS))  # JSON is YAML
    report(
        "llm",
        {
            "plain": plain,
            "streamed": stream,
            "budget": budget,
            "structured": structured,
            "responses": responses,
        },
    )
