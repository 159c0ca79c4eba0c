"""Prices of model calls: a dated table per model, and the cost of one call's usage.

The prices are the provider's list prices, as the pinned CLI has them. MODEL_PRICES overrides and adds; a model in
neither costs as much as the dearest one, so that a budget is never spent without being counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from agent.domain.model_price import ModelPrice, TokenPrice
from agent.domain.result import Usage

PRICES_OF = "2026-12-01"
"""The day of the table; renewed with the pin of the CLI (2.1.330)."""

_HAIKU_LONG = TokenPrice(input=0.5, output=2.5)
_OPUS_4_5 = ModelPrice(input=5, output=25)
_OPUS_4_6 = ModelPrice(input=5, output=25, fast=TokenPrice(input=30, output=150))
_OPUS_4_8 = ModelPrice(input=5, output=25, fast=TokenPrice(input=10, output=50))
_SONNET_4 = ModelPrice(input=3, output=15)
_OPUS_4 = ModelPrice(input=15, output=75)
_FIFTY = ModelPrice(input=10, output=50)
_FIFTY_QUARTER = ModelPrice(input=10, output=50, cache_read=0.25)
_FORTY = ModelPrice(input=8, output=40, cache_read=0.2, fast=TokenPrice(input=16, output=80, cache_read=0.4))

LIST_PRICES: Mapping[str, ModelPrice] = {
    "claude-3-5-haiku": ModelPrice(input=0.8, output=4),
    "claude-haiku-4-5": ModelPrice(input=1, output=5),
    "claude-haiku-5-5": ModelPrice(input=0.1, output=0.5, long_above_tokens=100_000, long=_HAIKU_LONG),
    "claude-3-5-sonnet": _SONNET_4,
    "claude-3-7-sonnet": _SONNET_4,
    "claude-sonnet-4": _SONNET_4,
    "claude-sonnet-4-5": _SONNET_4,
    "claude-sonnet-4-6": _SONNET_4,
    "claude-sonnet-5": ModelPrice(input=2, output=10),
    "claude-sonnet-5-5": ModelPrice(input=2, output=10, cache_read=0.1),
    "claude-opus-4": _OPUS_4,
    "claude-opus-4-1": _OPUS_4,
    "claude-opus-4-5": _OPUS_4_5,
    "claude-opus-4-6": _OPUS_4_6,
    "claude-opus-4-7": _OPUS_4_6,
    "claude-opus-4-8": _OPUS_4_8,
    "claude-opus-5": _OPUS_4_8,
    "claude-opus-5-5": ModelPrice(
        input=4, output=20, cache_read=0.2, fast=TokenPrice(input=8, output=40, cache_read=0.4)
    ),
    "claude-fable-5": _FIFTY,
    "claude-fable-5-1": _FIFTY_QUARTER,
    "claude-fable-5-2": _FORTY,
    "claude-mythos-5": _FIFTY,
    "claude-mythos-5-1": _FIFTY_QUARTER,
    "claude-mythos-5-2": _FORTY,
}

_US_ONLY_FACTOR = 1.1  # inference in the United States alone
_SUFFIX = re.compile(r"(\[1m\]|-latest|-0|[-@]20\d{6}(-v\d+(:\d+)?)?)$")
_LARGEST_COUNT = 10**9
"""Tokens of one call; a larger number in an answer is read as this one."""


class CallUsage(Usage):
    """What one call used, with all that its price depends on."""

    cache_creation_1h_input_tokens: int = 0
    web_searches: int = 0
    fast: bool = False
    us_only: bool = False


class PriceTable:
    """The prices of all models, one per host. `overrides` come before the list; `*` in them is any other model."""

    def __init__(self, overrides: Mapping[str, ModelPrice] | None = None) -> None:
        self._overrides = dict(overrides or {})
        dearest = dearest_of([*LIST_PRICES.values(), *self._overrides.values()])
        self._other = self._overrides.pop("*", dearest)

    def price_of(self, model: str) -> ModelPrice:
        """Return the prices of a model, whatever date or suffix its name carries."""
        return self._overrides.get(model) or self._overrides.get(plain_name(model)) or self._listed(model)

    def knows(self, model: str) -> bool:
        """True if the list or MODEL_PRICES has the model."""
        return any(name in table for name in (model, plain_name(model)) for table in (self._overrides, LIST_PRICES))

    def cost(self, model: str, usage: Usage) -> float:
        """Return US dollars: finite, and never less than 0."""
        extra = usage if isinstance(usage, CallUsage) else CallUsage(**usage.model_dump())
        price = self.price_of(model)
        tokens = _token_price(price, extra)
        long_lived = min(_count(extra.cache_creation_1h_input_tokens), _count(extra.cache_creation_input_tokens))
        dollars = (
            _count(extra.input_tokens) * tokens.input
            + _count(extra.output_tokens) * tokens.output
            + _count(extra.cache_read_input_tokens) * tokens.cache_read
            + long_lived * tokens.cache_write_1h
            + (_count(extra.cache_creation_input_tokens) - long_lived) * tokens.cache_write_5m
        ) / 1e6
        total = dollars * (_US_ONLY_FACTOR if extra.us_only else 1.0) + _count(extra.web_searches) * price.web_search
        return total if math.isfinite(total) else 0.0

    def _listed(self, model: str) -> ModelPrice:
        return LIST_PRICES.get(plain_name(model), self._other)


def plain_name(model: str) -> str:
    """Return a model's name without date, `[1m]` and other suffixes."""
    name = model.rpartition("/")[2]
    name = name[name.index("claude-") :] if "claude-" in name else name
    while (shorter := _SUFFIX.sub("", name)) != name:
        name = shorter
    return name


def dearest_of(prices: list[ModelPrice]) -> ModelPrice:
    """Return prices that are nowhere lower than any of these."""
    every: list[TokenPrice] = [*prices, *(price.long for price in prices if price.long)]
    quick: list[TokenPrice] = [*every, *(price.fast for price in prices if price.fast)]
    searches = max(price.web_search for price in prices)
    return ModelPrice(**_highest(every), fast=TokenPrice(**_highest(quick)), web_search=searches)


def _highest(prices: list[TokenPrice]) -> dict[str, float]:
    return {name: max(getattr(price, name) for price in prices) for name in TokenPrice.model_fields}


def _token_price(price: ModelPrice, usage: CallUsage) -> TokenPrice:
    if usage.fast and price.fast is not None:
        return price.fast
    is_long = price.long_above_tokens is not None and usage.prompt_tokens > price.long_above_tokens
    return price.long if is_long and price.long is not None else price


def _count(tokens: int) -> int:
    return min(max(0, tokens), _LARGEST_COUNT)
