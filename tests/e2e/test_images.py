"""Images on the real engine: a tiny model that reads them, and one that does not."""

import base64
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.e2e.process import Server
from tests.e2e.tiny_vision_model import TOKENS_PER_IMAGE

pytestmark = pytest.mark.e2e


def picture(color: str, kind: str = "PNG") -> dict[str, Any]:
    """A part with a plain picture."""
    file = BytesIO()
    Image.new("RGB", (64, 48), color).save(file, kind)
    data = base64.b64encode(file.getvalue()).decode()
    url = f"data:image/{kind.lower()};base64,{data}"
    return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}


def text(words: str) -> dict[str, Any]:
    """A part with a text."""
    return {"type": "text", "text": words}


def ask(server: Server, model: str, *parts: dict[str, Any], **fields: Any) -> httpx.Response:
    """Ask about `parts`, greedily."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": list(parts)}],
        "temperature": 0,
        "max_tokens": 24,
        "max_thinking_tokens": 12,
    }
    url = f"{server.base_url}/v1/chat/completions"
    return httpx.post(url, json=body | fields, timeout=120)


def answered(response: httpx.Response) -> dict[str, Any]:
    """The reply, whose budget is kept."""
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    for choice in reply["choices"]:
        assert choice["thinking"]["used"] <= 12
    return reply


def test_an_image_reaches_the_model(seeing_server: Server) -> None:
    question = text("What is it?")
    without = answered(ask(seeing_server, "tiny", question))
    red = answered(ask(seeing_server, "tiny", picture("red"), question, logprobs=True))
    again = answered(ask(seeing_server, "tiny", picture("red"), question, logprobs=True))
    blue = answered(ask(seeing_server, "tiny", picture("blue", "JPEG"), question, logprobs=True))
    num_more = red["usage"]["prompt_tokens"] - without["usage"]["prompt_tokens"]
    assert num_more >= TOKENS_PER_IMAGE
    assert red["choices"][0]["message"] == again["choices"][0]["message"]
    seen = [reply["choices"][0]["logprobs"]["content"][0]["logprob"] for reply in (red, blue)]
    assert seen[0] != seen[1]


def test_a_thought_about_an_image_goes_on_with_that_image_and_no_other(
    seeing_server: Server,
) -> None:
    question = text("What is it?")
    held_open = {
        "max_thinking_tokens": 40,
        "min_thinking_tokens": 40,
        "max_tokens": 64,
        "thinking_options": {"grace": 0, "loop_guard": False},
        "include": ["thinking.sealed"],
    }
    cut = ask(seeing_server, "tiny", picture("red"), question, **held_open).json()
    receipt = cut["choices"][0]["thinking"]
    assert "sealed" in receipt, receipt
    going_on = {
        "max_thinking_tokens": None,
        "max_tokens": 64,
        "continue_thinking": {"sealed": receipt["sealed"], "max_thinking_tokens": 40},
    }
    later = ask(seeing_server, "tiny", picture("red"), question, **going_on).json()
    continued = later["choices"][0]["thinking"]["continued"]
    assert 0 < continued < receipt["used"]
    num_more = later["usage"]["prompt_tokens"] - cut["usage"]["prompt_tokens"]
    assert num_more == continued
    other = ask(seeing_server, "tiny", picture("blue"), question, **going_on)
    assert other.status_code == 400
    assert "images" in other.json()["error"]["message"]


def test_several_images_and_choices_go_together(seeing_server: Server) -> None:
    parts = (picture("red"), text("or"), picture("green"), text("?"))
    reply = answered(ask(seeing_server, "tiny", *parts, n=3, temperature=1))
    assert len(reply["choices"]) == 3


def test_an_image_token_typed_by_a_user_is_plain_text(seeing_server: Server) -> None:
    answered(ask(seeing_server, "tiny", text("<image>"), picture("red")))


@pytest.mark.parametrize(
    ("part", "word"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "image 0"),
        ({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}, "data:image"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,!!"}}, "base64"),
        ({"type": "image_url", "image_url": {"url": "data:text/html;base64,AAAA"}}, "image/png"),
    ],
)
def test_what_is_no_image_is_refused(
    seeing_server: Server, part: dict[str, Any], word: str
) -> None:
    response = ask(seeing_server, "tiny", text("?"), part)
    assert response.status_code == 400
    assert word in response.json()["error"]["message"]


def test_a_model_that_reads_text_only_says_so(server: Server) -> None:
    response = ask(server, "smollm2-135m-instruct", text("?"), picture("red"))
    assert response.status_code == 400
    assert "text only" in response.json()["error"]["message"]
