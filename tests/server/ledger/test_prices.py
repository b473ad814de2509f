"""Money is exact: every cost is the decimal that the price list says."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.start_errors import EngineConfigError
from server.ledger.prices import ModelPrices, PriceFileError, TokenCounts, read_prices
from server.ledger.row import format_decimal
from tests.server.conftest import Serve

NUMBERS = st.integers(0, 10**15 - 1)  # a price, in millionths
TOKENS = st.integers(0, 10**7)


def to_price(millionths: int) -> str:
    """Return a price as a list has it."""
    return f"{millionths // 10**6}.{millionths % 10**6:06}"


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), st.tuples(TOKENS, TOKENS, TOKENS, TOKENS))
def test_a_cost_is_exact(prices: tuple[int, ...], tokens: tuple[int, ...]) -> None:
    names = ("prompt", "cached_prompt", "answer", "thinking")
    given_prices = ModelPrices(
        **dict(zip(names, map(to_price, prices), strict=True))  # type: ignore[arg-type]
    )
    rest, cached, answer, thinking = tokens
    cost = given_prices.compute_cost(TokenCounts(rest + cached, cached, answer, thinking))
    trillionths = sum(price * number for price, number in zip(prices, tokens, strict=True))
    whole, fraction = divmod(trillionths, 10**12)
    assert cost == Decimal(f"{whole}.{fraction:012}")
    assert Decimal(format_decimal(cost)) == cost
    assert "E" not in format_decimal(cost)


def write(folder: Path, text: str) -> str:
    path = folder / "prices"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("answer", ["0.1", '"0.1"'])
@pytest.mark.parametrize("is_json", [False, True])
def test_a_price_is_the_decimal_that_is_written(tmp_path: Path, answer: str, is_json: bool) -> None:
    toml = f'currency = "EUR"\n[models.m]\nprompt = 1\nanswer = {answer}\n'
    text = f'{{"currency": "EUR", "models": {{"m": {{"prompt": 1, "answer": {answer}}}}}}}'
    prices = read_prices(write(tmp_path, text if is_json else toml)).get_prices("m")
    assert prices.answer == Decimal("0.1")
    assert prices.compute_cost(TokenCounts(10, 4, 1, 1)) == Decimal("0.0000102")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"prompt": "-1", "answer": "1"}, "prompt"),
        ({"prompt": "1"}, "answer"),
        ({"prompt": "1", "answer": "0.0000001"}, "at most 6 decimals"),
        ({"prompt": "1", "answer": "cheap"}, "decimal number"),
        ({"prompt": "1", "answer": "NaN"}, "decimals"),
        ({"prompt": True, "answer": "1"}, "decimal number"),
        ({"prompt": "1", "answer": "1", "thoughts": "1"}, "thoughts"),
    ],
)
def test_a_bad_price_is_a_clear_error(
    tmp_path: Path, entry: dict[str, object], problem: str
) -> None:
    path = write(tmp_path, json.dumps({"currency": "USD", "models": {"m": entry}}))
    with pytest.raises(PriceFileError, match=problem):
        read_prices(path)


@pytest.mark.parametrize("text", ["", "{", 'currency = "USD"\n[models]\n', "prices = 1"])
def test_a_bad_list_is_a_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(PriceFileError, match="prices"):
        read_prices(write(tmp_path, text))
    with pytest.raises(PriceFileError, match="No such file"):
        read_prices(str(tmp_path / "none"))


async def test_a_model_without_prices_is_not_served(serve: Serve, tmp_path: Path) -> None:
    text = 'currency = "USD"\n[models.other]\nprompt = 1\nanswer = 1\n'
    with pytest.raises(EngineConfigError, match="'scripted' has no prices; there are: 'other'"):
        serve(prices=write(tmp_path, text))
