"""From tokens to money, with the price table of `genai-prices` that is installed. It is never fetched over the network."""

from __future__ import annotations

import importlib
import re
import threading
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from tac_orchestrator.models import eight_places

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, PriceCalculation, Provider


_TRILLION = 10**12

# What is not part of the name: `claude-opus-5-5[1m]` asks for the long context.
_DECORATION = re.compile(r"\[[^\]]*\]$")
_BEDROCK = re.compile(r"(?:arn:.*/|bedrock/)?(?:[a-z]{2,6}(?:-gov)?\.)?[a-z0-9]+\.[a-z].*")
_PROVIDERS = {"models": "google", "gemini": "google", "vertex_ai": "google", "bedrock": "aws", "xai": "x-ai"}


class Tokens(NamedTuple):
    """What a request used. `input` includes both kinds of cached tokens, `cache_write` includes those kept for an hour."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0


class Price(NamedTuple):
    """A cost in dollars and what it is based on; or None, and why there is none."""

    cost_usd: Decimal | None
    basis: str


@dataclass(frozen=True, slots=True)
class _Rates:
    """Trillionths of a dollar: for the request, and a token."""

    request: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int


@dataclass(frozen=True, slots=True)
class _Prices:
    """What holds at one time. Large requests have other rates: `rates[n]` are for more input than n of the `limits`; None where
    the price table says more than rates can."""

    limits: tuple[int, ...]
    rates: tuple[_Rates | None, ...]


@dataclass(frozen=True, slots=True)
class _Model:
    """A model in the price table. `prices` are all that it has at any time, by the identity of the library's."""

    name: str
    info: ModelInfo
    provider: Provider
    prices: dict[int, _Prices]

    def rates(self, input: int, at: datetime | None) -> _Rates | None:
        prices = self.prices[id(self.info.get_prices(at or datetime.now(UTC)))]
        return prices.rates[bisect_left(prices.limits, input)]


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
    basis = f"genai-prices {_version()}: {known.name}"
    rates = known.rates(tokens.input, at)
    if rates is not None:
        return Price(eight_places(_trillionths(rates, tokens) / _TRILLION), basis)
    return Price(eight_places(_calculate(known, tokens, at or datetime.now(UTC))), basis)


def _trillionths(rates: _Rates, tokens: Tokens) -> int:
    return (
        rates.request
        + (tokens.input - tokens.cache_read - tokens.cache_write) * rates.input
        + tokens.output * rates.output
        + tokens.cache_read * rates.cache_read
        + (tokens.cache_write - tokens.cache_write_1h) * rates.cache_write
        + tokens.cache_write_1h * rates.cache_write_1h
    )


def _calculate(known: _Model, tokens: Tokens, at: datetime) -> Decimal:
    return known.info.calc_price(_usage(tokens), known.provider, genai_request_timestamp=at).total_price


def _usage(tokens: Tokens) -> Any:
    return _library().Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        cache_write_1h_tokens=tokens.cache_write_1h,
    )


@cache
def _library() -> ModuleType:
    """Imported when something is priced: it is the largest import of all."""
    return importlib.import_module("genai_prices")


@cache
def _version() -> str:
    return importlib.import_module("importlib.metadata").version("genai-prices")


@lru_cache(maxsize=4096)
def _known(model: str) -> _Model | None:
    """None if the price table does not have it. Asking the table for each request costs more than storing the answer."""
    found = next((found for reference in _references(model) if (found := _found(*reference)) is not None), None)
    if found is None:
        return None
    info: ModelInfo = found.model
    every = [each.prices for each in info.prices] if isinstance(info.prices, list) else [info.prices]
    return _Model(f"{found.provider.id}/{info.id}", info, found.provider, {id(prices): _prices(prices) for prices in every})


def _found(model: str, provider: str | None) -> PriceCalculation | None:
    try:
        return _library().calc_price(_usage(Tokens(0, 0)), model, provider_id=provider)
    except LookupError:
        return None


def _references(model: str) -> Iterator[tuple[str, str | None]]:
    """The names that the price table may have for it, and whose price that is: what frameworks report is often decorated."""
    plain = _DECORATION.sub("", model)
    yield model, None
    yield plain, None
    if _BEDROCK.fullmatch(plain):
        yield plain.rpartition("/")[2], "aws"
    provider, slash, rest = plain.partition("/")
    if slash:
        yield rest, _PROVIDERS.get(provider, provider)


def _prices(prices: ModelPrice) -> _Prices:
    tiered = importlib.import_module("genai_prices.types").TieredPrices
    limits = sorted({tier.start for price in vars(prices).values() if isinstance(price, tiered) for tier in price.tiers})
    largest = [*limits, (limits[-1] if limits else 0) + 1_000_000]
    return _Prices(tuple(limits), tuple(_rates(prices, number) for number in largest))


def _rates(prices: ModelPrice, number: int) -> _Rates | None:
    """Those for requests with so many tokens of input. None if one is no whole number of trillionths."""
    request, *totals = _totals(prices, number)
    rates = [request * _TRILLION, *((total - request) * _TRILLION / number for total in totals)]
    rates[2] -= rates[1]  # there is no output without input
    return _Rates(*map(int, rates)) if all(rate == int(rate) for rate in rates) else None


def _totals(prices: ModelPrice, number: int) -> Iterator[Decimal]:
    """What requests cost that use nothing, or so many tokens of one kind, in the order of _Rates."""
    for tokens in (
        Tokens(0, 0),
        Tokens(number, 0),
        Tokens(number, number),
        Tokens(number, 0, cache_read=number),
        Tokens(number, 0, cache_write=number),
        Tokens(number, 0, cache_write=number, cache_write_1h=number),
    ):
        yield prices.calc_price(_usage(tokens))["total_price"]
