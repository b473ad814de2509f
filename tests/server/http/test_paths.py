"""People mistype base URLs: what is meant is served, or the error names it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.http.paths import PathMiddleware
from tests.examples import examples
from tests.server.conftest import MODEL, Serve, Served, chat_body
from tests.server.scraping import scrape

CHAT = "/v1/chat/completions"
SHORT = {"max_tokens": 4, "max_thinking_tokens": 0}
POSTED: dict[str, dict[str, Any]] = {
    CHAT: chat_body(**SHORT),
    "/v1/completions": {"model": MODEL, "prompt": "Hi", **SHORT},
    "/v1/messages": {"model": MODEL, "messages": chat_body()["messages"], "max_tokens": 4},
    "/v1/messages/count_tokens": {"model": MODEL, "messages": chat_body()["messages"]},
    "/v1/responses": {"model": MODEL, "input": "Hi", "max_output_tokens": 4},
}
SPELLINGS = ["{}", "{}/", "/{}", "//{}//"]


async def post(served: Served, url: str, path: str) -> Any:
    # httpx would take a path that begins with two slashes for a host.
    return await served.http.post(f"http://test{url}", json=POSTED[path])


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path", POSTED)
async def test_slashes_and_a_missing_prefix_make_no_difference(
    serve: Serve, path: str, spelling: str
) -> None:
    served = serve()
    for written in (path, path.removeprefix("/v1")):
        answer = await post(served, spelling.format(written), path)
        assert answer.status_code == 200, (written, answer.text)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path", ["/models", "/v1/models"])
async def test_models_are_listed_and_described(serve: Serve, path: str, spelling: str) -> None:
    served = serve()
    listed = await served.http.get("http://test" + spelling.format(path))
    assert [model["id"] for model in listed.json()["data"]] == [MODEL]
    one = await served.http.get("http://test" + spelling.format(f"{path}/{MODEL}"))
    assert one.json()["id"] == MODEL


async def test_the_alias_of_messages_has_their_errors(serve: Serve) -> None:
    answer = await serve().http.post("/messages", json={"model": MODEL})
    assert (answer.status_code, answer.json()["type"]) == (400, "error")


@pytest.mark.parametrize(
    ("path", "meant", "words"),
    [
        ("/v1/v1/chat/completions", CHAT, "one /v1 too many"),
        ("/v1/v1/messages", "/v1/messages", "one /v1 too many"),
        ("/v1/v1/models", "/v1/models", "one /v1 too many"),
        ("/v1/v1/models/x", "/v1/models/{model_name}", "one /v1 too many"),
        ("/v1/tokenize", "/tokenize", "one /v1 too many"),
        ("/v1/health", "/health", "one /v1 too many"),
        ("/thinking/map", "/v1/thinking/map", "lacks /v1"),
        ("/v1/chat/completions/chat/completions", CHAT, "did you mean"),
        ("/v1/chat/completions/v1/chat/completions", CHAT, "did you mean"),
        ("/openai/v1/chat/completions", CHAT, "did you mean"),
        ("/api/v1/messages", "/v1/messages", "did you mean"),
        ("/api/chat/completions", CHAT, "did you mean"),
    ],
)
async def test_a_wrong_base_url_is_named(serve: Serve, path: str, meant: str, words: str) -> None:
    for method in ("GET", "POST"):
        answer = await serve().http.request(method, path, json={})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (404, "not_found")
        assert error["message"].endswith(f"did you mean {meant}?")
        assert words in error["message"]


@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/nope", "/v1", "/chat", "/v1/chat", "/x" * 40, "/" + "x/" * 4000]
)
async def test_what_is_not_served_gets_no_hint(serve: Serve, path: str) -> None:
    answer = await serve().http.post(path, json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "no such path"


async def test_an_unknown_model_is_not_taken_for_an_unknown_path(serve: Serve) -> None:
    answer = await serve().http.get("/v1/models/v1/models")
    assert answer.json()["error"]["code"] == "model_not_found"


async def test_all_spellings_count_as_one_endpoint(serve: Serve) -> None:
    served = serve()
    await post(served, CHAT, CHAT)
    await scrape(served)
    before = (await scrape(served)).list_series()
    for spelling in SPELLINGS:
        await post(served, spelling.format("/chat/completions"), CHAT)
        await post(served, spelling.format(CHAT), CHAT)
    assert (await scrape(served)).list_series() == before


PATHS = st.lists(
    st.sampled_from(["/", "//", ".", "..", "v1", "health", "models", "metrics", "%2e", "x", " "])
    | st.text(max_size=3),
    max_size=8,
).map(lambda parts: "/" + "".join(parts))


@settings(max_examples=examples(200), suppress_health_check=list(HealthCheck))
@given(PATHS)
async def test_a_path_has_one_spelling_and_keeps_its_words(path: str) -> None:
    """What a key is checked for is what is routed; no segment appears, vanishes or moves."""

    async def rewrite(path: str) -> str:
        scope: dict[str, Any] = {"type": "http", "path": path}

        async def app(scope: Any, receive: Any, send: Any) -> None: ...

        middleware = PathMiddleware(app, "/v1", ("/models",))
        await middleware(scope, None, None)  # type: ignore[arg-type]
        return str(scope["path"])

    once = await rewrite(path)
    assert await rewrite(once) == once
    words, kept = ([word for word in p.split("/") if word] for p in (path, once))
    assert kept in (words, ["v1", *words])
    if kept != words:
        assert words[0] == "models"
