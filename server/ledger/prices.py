"""Prices of models, and the cost of what a choice has used, in exact decimals.

No amount of money is ever a binary float here. Does not know who pays.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, Overflow
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

# Together with a price's six decimals, a token costs a whole number of trillionths.
TOKENS_OF_A_PRICE = 1_000_000
MAX_PRICE_DECIMALS = 6
# A cost or a sum that this context cannot hold exactly raises.
EXACT = Context(prec=100, traps=[Inexact, Overflow])
_STRICT = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PriceFileError(ValueError):
    """The prices cannot be used; the message names the file and the entry."""


def _parse_price(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('should be a decimal number, such as "0.25"')
    try:
        price = Decimal(value)
    except ArithmeticError:
        raise ValueError('should be a decimal number, such as "0.25"') from None
    exponent = price.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_PRICE_DECIMALS:
        raise ValueError(f"should have at most {MAX_PRICE_DECIMALS} decimals")
    return price


Price = Annotated[Decimal, BeforeValidator(_parse_price), Field(ge=0, lt=10**9)]


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of one choice; `cached` are those of `prompt` that were in the prefix cache."""

    prompt: int
    cached: int
    answer: int
    thinking: int


class ModelPrices(BaseModel):
    """Prices of one model, per million tokens.

    Cached prompt tokens cost as much as others, and thinking as much as the answer, unless said.
    """

    model_config = _STRICT

    prompt: Price
    cached_prompt: Price | None = None
    answer: Price
    thinking: Price | None = None

    def compute_cost(self, used: TokenCounts) -> Decimal:
        """Return the exact cost of `used`; it has at most twelve decimals."""
        cached = self.prompt if self.cached_prompt is None else self.cached_prompt
        thinking = self.answer if self.thinking is None else self.thinking
        total = Decimal(0)
        for price, num_tokens in (
            (self.prompt, used.prompt - used.cached),
            (cached, used.cached),
            (self.answer, used.answer),
            (thinking, used.thinking),
        ):
            total = EXACT.add(total, EXACT.multiply(price, Decimal(num_tokens)))
        return EXACT.divide(total, Decimal(TOKENS_OF_A_PRICE))


class PriceList(BaseModel):
    """Prices of all models, by the name that responses have."""

    model_config = _STRICT

    currency: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,15}$")]
    models: dict[str, ModelPrices] = Field(min_length=1)

    def get_prices(self, model_name: str) -> ModelPrices:
        """Return the prices of a model.

        Raises:
            PriceFileError: it has none.
        """
        prices = self.models.get(model_name)
        if prices is None:
            known = ", ".join(map(repr, self.models))
            raise PriceFileError(f"the model {model_name!r} has no prices; there are: {known}")
        return prices


def read_prices(path: str) -> PriceList:
    """Read a price list, TOML or JSON.

    Raises:
        PriceFileError: the file cannot be read, or is invalid.
    """
    try:
        return PriceList.model_validate(_parse(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise PriceFileError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"])) or "prices"
        message = fault["msg"].removeprefix("Value error, ")
        raise PriceFileError(f"{path}: {place}: {message}") from None
    except ValueError as error:
        raise PriceFileError(f"{path}: is neither TOML nor JSON: {error}") from None


def _parse(text: str) -> Mapping[str, Any]:
    """Parse JSON if the text begins with a brace, which no TOML document does, else TOML."""
    if text.lstrip().startswith("{"):
        return dict(json.loads(text, parse_float=Decimal))
    return tomllib.loads(text, parse_float=Decimal)
