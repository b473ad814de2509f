"""Small real parts: a byte-level tokenizer, marker profiles, a scripted engine, an app."""

import json
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
from server.state import ServerState
from thinking.markers.profile import MarkerProfile, Opening

MODEL = "scripted"
SPECIALS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", "<|spare|>", "<|exit|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
MERGES = [("t", "h"), ("th", "e"), ("i", "n"), ("o", "n"), ("Ġ", "a"), ("Ġ", "the")]


def make_tokenizer() -> PreTrainedTokenizerBase:
    """256 bytes, a few merges, ChatML-like control tokens."""
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
    """Tokens of `text`, control tokens parsed."""
    return tuple(TOKENIZER.encode(text, add_special_tokens=False))


def make_profile(start: str = "<think>", end: str = "</think>", **changes: Any) -> MarkerProfile:
    """A profile over the small tokenizer."""
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
    """A model that wants to write `text`."""
    return WantedTokens(VOCAB_SIZE, ids(text), STOP_ID)


@dataclass(slots=True)
class Served:
    """An app over a scripted engine, with clients."""

    app: FastAPI
    engine: ScriptedEngine
    http: httpx.AsyncClient
    openai: AsyncOpenAI
    state: ServerState

    async def chat(self, **fields: Any) -> httpx.Response:
        """Post a chat body; `messages` and `model` have defaults."""
        return await self.http.post("/v1/chat/completions", json=chat_body(**fields))

    async def events(self, **fields: Any) -> list[dict[str, Any]]:
        """The JSON events of a streamed chat, checked for their frame."""
        response = await self.chat(stream=True, **fields)
        assert response.status_code == 200, response.text
        lines = [line for line in response.text.split("\n\n") if line.startswith("data: ")]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def make_state(**options: Any) -> ServerState:
    """An app's state without an engine."""
    return ServerState(ServerSettings(**options))


def chat_body(**fields: Any) -> dict[str, Any]:
    """A small valid body, changed by `fields`."""
    return {"model": MODEL, "messages": [{"role": "user", "content": "How many?"}], **fields}


Serve = Callable[..., Served]


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Serve]:
    """Makes apps: ``serve(source, profile=…, settings options …)``."""
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
        state = make_state(**options)
        state.set_engine(engine)
        app = create_app(state)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="http://test")
        client = AsyncOpenAI(
            api_key="none",
            base_url="http://test/v1",
            http_client=httpx2.AsyncClient(transport=httpx2.ASGITransport(app)),
            max_retries=0,
        )
        made.append(Served(app, engine, http, client, state))
        return made[-1]

    yield make
    for served in made:
        await served.http.aclose()
        await served.openai.close()
        await served.state.close()
        await served.engine.close()


def choice_texts(events: Sequence[dict[str, Any]], num_choices: int = 1) -> list[str]:
    """The content of each choice of a stream."""
    texts = [""] * num_choices
    for event in events:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
    return texts


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> MarkerProfile:
    """Each way of marking a thought."""
    return PROFILES[request.param]
