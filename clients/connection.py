"""The server that the command line talks to, and HTTP clients for it.

Any OpenAI-compatible server will do. Knows no endpoint but the list of models.
"""

import argparse
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clients.errors import CommandError, UsageError
from clients.extras import require

if TYPE_CHECKING:  # half a second of imports that --help does not need
    import httpx
    from openai import AsyncOpenAI

DEFAULT_URL = "http://127.0.0.1:8000/v1"
NO_KEY = "none"
# Enough for a long thought without streaming; the openai client's own default.
TIMEOUT_SECONDS = 600.0
MAX_RETRIES = 5


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--url``, ``--model``, ``--api-key``, ``--timeout`` and ``--retries``."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--url",
        default=os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL,
        help="base URL of an OpenAI-compatible API [%(default)s] (OPENAI_BASE_URL)",
    )
    group.add_argument("--model", help="model name [the first one that the server lists]")
    group.add_argument(
        "--api-key", help="API key [none]; prefer OPENAI_API_KEY, which ps does not show"
    )
    group.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="time limit of one request [%(default)s]",
    )
    group.add_argument(
        "--retries",
        type=int,
        default=MAX_RETRIES,
        metavar="N",
        help="retries of a request after 429, 5xx or a lost connection [%(default)s]",
    )


@dataclass(frozen=True, slots=True)
class Connection:
    """Address of a server and how to call it; `model` None: the first model that it lists."""

    base_url: str = DEFAULT_URL
    api_key: str = field(default=NO_KEY, repr=False)
    model: str | None = None
    timeout_seconds: float = TIMEOUT_SECONDS
    max_retries: int = MAX_RETRIES

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "Connection":
        """Return the connection that the parsed options describe.

        Raises:
            UsageError: `--url` is not an HTTP URL, or a limit is out of range.
        """
        if not arguments.url.startswith(("http://", "https://")):
            raise UsageError(f"--url {arguments.url!r}: should begin with http:// or https://")
        if arguments.timeout <= 0 or arguments.retries < 0:
            raise UsageError("--timeout should be above 0, --retries 0 or more")
        return cls(
            base_url=arguments.url.rstrip("/"),
            api_key=arguments.api_key or os.environ.get("OPENAI_API_KEY") or NO_KEY,
            model=arguments.model,
            timeout_seconds=arguments.timeout,
            max_retries=arguments.retries,
        )

    def make_openai_client(self) -> "AsyncOpenAI":
        """Return a new openai client, which retries by itself; the caller closes it."""
        require("openai")
        import openai

        return openai.AsyncOpenAI(
            base_url=self.base_url,
            api_key=self.api_key,
            timeout=self.timeout_seconds,
            max_retries=self.max_retries,
        )

    def make_http_client(self) -> "httpx.AsyncClient":
        """Return a new plain HTTP client with base URL and key; the caller closes it."""
        require("httpx")
        import httpx

        return httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=self.timeout_seconds,
        )

    async def fetch_model_name(self, client: "AsyncOpenAI") -> str:
        """Return `model`, or the first model that the server lists.

        Raises:
            CommandError: the server cannot be reached, refuses, or lists no model.
        """
        if self.model is not None:
            return self.model
        return (await self.fetch_model_names(client))[0]

    async def fetch_model_names(self, client: "AsyncOpenAI") -> list[str]:
        """Return the names of the models that the server lists, at least one.

        Raises:
            CommandError: the server cannot be reached, refuses, or lists no model.
        """
        import openai

        try:
            listed = (await client.models.list()).data
        except openai.OpenAIError as error:
            raise self.to_command_error(error) from error
        if not listed:
            raise CommandError(f"{self.base_url} lists no model; name one with --model")
        return [model.id for model in listed]

    def to_command_error(self, error: Exception) -> CommandError:
        """Return `error`, raised by a client, as a CommandError that names the server."""
        return CommandError(f"{self.base_url}: {describe_error(error)}")


def describe_error(error: Exception) -> str:
    """Return why a request failed: the status and the server's message, or the network's error."""
    import openai

    match error:
        case openai.APITimeoutError():
            return "no answer in time (--timeout)"
        case openai.APIConnectionError():
            return f"cannot be reached ({error.__cause__ or error})"
        case openai.APIStatusError():
            said = error.body.get("message") if isinstance(error.body, dict) else None
            hint = "" if said or error.status_code != 404 else "; does --url end in /v1?"
            wait = find_retry_seconds(error)
            later = "" if wait is None else f"; retry after {wait:g} s"
            return f"{error.status_code}: {said or error.message}{hint}{later}"
    return str(error) or type(error).__name__


def find_status(error: BaseException | None) -> int | None:
    """Return the HTTP status of a failed request; None where there was no response."""
    import openai

    return error.status_code if isinstance(error, openai.APIStatusError) else None


def find_retry_seconds(error: BaseException | None) -> float | None:
    """Return for how many seconds a refusal says to wait, or None."""
    import openai

    if not isinstance(error, openai.APIStatusError):
        return None
    try:
        return float(error.response.headers.get("retry-after", ""))
    except ValueError:  # it may also be a date
        return None
