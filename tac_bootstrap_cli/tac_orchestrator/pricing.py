"""From tokens to money, with the price table of `genai-prices` that is installed. It is never fetched over the network."""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

from tac_orchestrator.models import eight_places

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo


_TRILLION = Decimal(10**12)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a request used. `input` includes both kinds of cached tokens, `cache_write` includes those kept for an hour."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """A cost in dollars and what it is based on; or None, and why there is none."""

    cost_usd: Decimal | None
    basis: str


@dataclass(frozen=True, slots=True)
class _Rates:
    """Trillionths of a dollar a token, for a model whose price depends on neither the time nor the size of the request."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int


@cache
def load_soon() -> None:
    """Read the price table meanwhile: it takes a sixth of a second, which the first answer need not wait for."""
    threading.Thread(target=_library, name="tac-orchestrator-prices", daemon=True).start()


def price(model: str, tokens: Tokens, at: datetime | None = None) -> Price:
    """What this request cost, at the prices that held at the time. An unknown model has no price, never a price of 0."""
    if tokens.cache_read + tokens.cache_write > tokens.input or tokens.cache_write_1h > tokens.cache_write:
        return Price(None, "the cached tokens exceed the input tokens, which include them")
    known = _known(model)
    if known is None:
        return Price(None, f"genai-prices {_version()} has no price for model {model!r}")
    name, rates = known
    basis = f"genai-prices {_version()}: {name}"
    if rates is not None:
        return Price(eight_places(_linear(rates, tokens)), basis)
    return Price(eight_places(_calculate(model, tokens, at or datetime.now(UTC))), basis)


def _linear(rates: _Rates, tokens: Tokens) -> Decimal:
    trillionths = (
        (tokens.input - tokens.cache_read - tokens.cache_write) * rates.input
        + tokens.output * rates.output
        + tokens.cache_read * rates.cache_read
        + (tokens.cache_write - tokens.cache_write_1h) * rates.cache_write
        + tokens.cache_write_1h * rates.cache_write_1h
    )
    return Decimal(trillionths) / _TRILLION


def _calculate(model: str, tokens: Tokens, at: datetime) -> Decimal:
    usage = _library().Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        cache_write_1h_tokens=tokens.cache_write_1h,
    )
    return _library().calc_price(usage, model, genai_request_timestamp=at).total_price


@cache
def _library() -> ModuleType:
    """Imported when something is priced: it is the largest import of all."""
    return importlib.import_module("genai_prices")


@cache
def _version() -> str:
    return importlib.import_module("importlib.metadata").version("genai-prices")


@lru_cache(maxsize=4096)
def _known(model: str) -> tuple[str, _Rates | None] | None:
    """The full name of the model in the price table and its rates, where they are fixed. None if it is not there."""
    try:
        found = _library().calc_price(_library().Usage(input_tokens=0, output_tokens=0), model)
    except LookupError:
        return None
    name = f"{found.provider.id}/{found.model.id}"
    return name, _fixed_rates(model) if _is_fixed(found.model) else None


def _is_fixed(model: ModelInfo) -> bool:
    types = importlib.import_module("genai_prices.types")
    if not isinstance(model.prices, types.ModelPrice):
        return False
    return not any(isinstance(one, types.TieredPrices) for one in vars(model.prices).values())


def _fixed_rates(model: str) -> _Rates | None:
    """None if a rate is no whole number of trillionths."""
    million, now = 1_000_000, datetime.now(UTC)
    rates = [
        _calculate(model, tokens, now) * million
        for tokens in (
            Tokens(million, 0),
            Tokens(0, million),
            Tokens(million, 0, cache_read=million),
            Tokens(million, 0, cache_write=million),
            Tokens(million, 0, cache_write=million, cache_write_1h=million),
        )
    ]
    return _Rates(*map(int, rates)) if all(rate == int(rate) for rate in rates) else None
