"""``GET /v1/thinking/evaluation``: what was measured of a served model.

Measures nothing itself; see :mod:`server.model.evaluation`.
"""

from typing import Any

from fastapi import APIRouter, Request

from server.account.account import get_account
from server.errors.api import ApiError
from server.keys.permissions import check_model
from server.state import get_services

router = APIRouter(prefix="/v1/thinking", tags=["models"])


class NoEvaluationError(ApiError):
    """404: nothing is known of the model."""

    def __init__(self) -> None:
        super().__init__(
            404,
            "no evaluation of this model: its operator can measure one with 'thinking eval' and "
            "name its report with --evaluation-file",
            code="evaluation_not_found",
        )


@router.get("/evaluation", summary="Get the accuracy of a model at several budgets")
async def get_evaluation(request: Request, model: str | None = None) -> dict[str, Any]:
    """Get the evaluation of a model that the key may use: accuracy at each budget, and the knee.

    Without `model`: of the model of requests that name none.
    """
    account = get_account(request)
    served = get_services(request).slot.choose_model(account, model)
    check_model(account.key, served.names, model, param="model")
    if served.evaluation is None:
        raise NoEvaluationError
    return {"object": "thinking.evaluation", **served.evaluation.model_dump(mode="json")}
