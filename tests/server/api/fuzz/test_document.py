"""No request, valid or not by our own OpenAPI document, is answered with a 5xx.

Every refusal has the endpoint's own form.
"""

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings

from server.app import create_app
from tests.examples import examples
from tests.server.conftest import MODEL, make_services

document = schemathesis.openapi.from_dict(create_app(make_services()).openapi())
ANTHROPIC = "/v1/messages"
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.content_type_conformance,
]


@document.parametrize()
@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
def test_no_request_is_a_server_error(base_url: str, case: schemathesis.Case[Any]) -> None:
    _name_the_model(case)
    response = case.call(base_url, timeout=60)
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        _check_shape(case.path, response.json(), response.status_code)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("method", ["get", "put", "patch"])
def test_a_wrong_method_is_refused_in_the_same_shape(base_url: str, path: str, method: str) -> None:
    response = requests.request(method, f"{base_url}{path}", timeout=30)
    assert response.status_code in (404, 405)
    _check_shape(path, response.json(), response.status_code)


def _name_the_model(case: schemathesis.Case[Any]) -> None:
    """Set the model's name: otherwise most requests would fail the first check."""
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = MODEL


def _check_shape(path: str, body: dict[str, Any], status: int) -> None:
    error = body["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    if path.startswith(ANTHROPIC):
        assert body["type"] == "error"
        assert set(error) == {"type", "message"}
    else:
        assert set(error) == {"message", "type", "param", "code"}
        assert status != 422
