"""Small real components: a byte-level tokenizer, marker profiles, a scripted engine, an app."""

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import httpx2  # the openai client's own
import pytest
import pytest_asyncio
from fastapi import FastAPI
from openai import AsyncOpenAI
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import LogitsSource, RandomLogits, WantedTokens
from server.settings.settings import ServerSettings
from server.state import Services, open_services
from thinking.markers.profile import MarkerProfile, Opening

MODEL = "scripted"
SPECIALS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "<|spare|>", "<|exit|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
MERGES = [("t", "h"), ("th", "e"), ("i", "n"), ("o", "n"), ("Ġ", "a"), ("Ġ", "the")]


def make_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer of 256 bytes, a few merges and ChatML-like control tokens."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in MERGES)]
    vocab = {token: token_id for token_id, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIALS])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    fast.chat_template = TEMPLATE
    return fast


TOKENIZER = make_tokenizer()
VOCAB_SIZE = len(TOKENIZER)
STOP_ID: int = TOKENIZER.convert_tokens_to_ids("<|im_end|>")
STAND_IN_ID: int = TOKENIZER.convert_tokens_to_ids("<|spare|>")
EXIT_ID: int = TOKENIZER.convert_tokens_to_ids("<|exit|>")


def ids(text: str) -> tuple[int, ...]:
    """Return the tokens of `text`, with control tokens parsed."""
    return tuple(TOKENIZER.encode(text, add_special_tokens=False))


def make_profile(start: str = "<think>", end: str = "</think>", **changes: Any) -> MarkerProfile:
    """Return a profile for the small tokenizer."""
    fields: dict[str, Any] = {
        "name": "test",
        "start_token_ids": ids(start),
        "end_token_ids": ids(end),
        "opening": Opening.FORCED,
        "stop_token_ids": (STOP_ID,),
        "eos_stand_in_id": STAND_IN_ID,
        "exit_stand_in_id": EXIT_ID,
    }
    return MarkerProfile(**fields | changes)


PROFILES = {
    "special markers": make_profile(),
    "opened by the prompt": make_profile(
        opening=Opening.PROMPT, no_thought_token_ids=ids("</think>")
    ),
    "text markers": make_profile(
        "[[think]]\n",
        "\n[[/think]]\n",
        primer_token_ids=ids("Let me see."),
        lead_in_token_ids=ids("So: "),
        native=False,
    ),
}
MARKER_TEXTS = (*SPECIALS, "[[think]]", "[[/think]]", "So: ")


def wants(text: str) -> WantedTokens:
    """Return a model that writes `text` unless other tokens are forced."""
    return WantedTokens(VOCAB_SIZE, ids(text), STOP_ID)


@dataclass(slots=True)
class Served:
    """An app over a scripted engine, with clients."""

    app: FastAPI
    engine: ScriptedEngine
    http: httpx.AsyncClient
    openai: AsyncOpenAI
    services: Services

    async def chat(self, **fields: Any) -> httpx.Response:
        """Post a chat body; `messages` and `model` have defaults."""
        return await self.http.post("/v1/chat/completions", json=chat_body(**fields))

    async def events(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the JSON events of a streamed chat, and assert that the stream is complete."""
        response = await self.chat(stream=True, **fields)
        assert response.status_code == 200, response.text
        lines = split_events(response.text)
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def split_events(stream: str) -> list[str]:
    """Return the blocks of an event stream, without comments, each of which is a line."""
    return [block for block in re.sub("(?m)^:.*\n", "", stream).split("\n\n") if block]


def make_services(**options: Any) -> Services:
    """An app's services without an engine."""
    return open_services(ServerSettings(**options))


def make_scope(path: str) -> dict[str, Any]:
    """The ASGI scope of a POST of JSON to `path`, for tests that are the server of the app."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "scheme": "http",
    }


def chat_body(**fields: Any) -> dict[str, Any]:
    """Return a small valid body with `fields`."""
    return {"model": MODEL, "messages": [{"role": "user", "content": "How many?"}], **fields}


Serve = Callable[..., Served]


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Creates apps: ``serve(source, profile=…, settings options …)``."""
    made: list[Served] = []

    def make(
        source: LogitsSource | None = None,
        profile: MarkerProfile = PROFILES["special markers"],
        max_model_len: int = 512,
        **options: Any,
    ) -> Served:
        engine = ScriptedEngine(
            source or RandomLogits(VOCAB_SIZE),
            TOKENIZER,
            profile,
            model_name=MODEL,
            max_model_len=max_model_len,
        )
        services = make_services(**options)
        services.set_engine(engine)
        app = create_app(services)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="http://test")
        client = AsyncOpenAI(
            api_key="none",
            base_url="http://test/v1",
            http_client=httpx2.AsyncClient(transport=httpx2.ASGITransport(app)),
            max_retries=0,
        )
        made.append(Served(app, engine, http, client, services))
        return made[-1]

    yield make
    for served in made:
        await served.http.aclose()
        await served.openai.close()
        await served.services.close()
        await served.engine.close()


def choice_texts(events: Sequence[dict[str, Any]], num_choices: int = 1) -> list[str]:
    """Return the content of each choice of a stream."""
    texts = [""] * num_choices
    for event in events:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
    return texts


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> MarkerProfile:
    """Each kind of thinking markers."""
    return PROFILES[request.param]
