"""The price table, against the pinned CLI's own."""

import mmap
import re

import pytest
from far_end import CLAUDE

from agent.domain.model_price import ModelPrice
from agent.domain.result import Usage
from agent.provider.pricing import LIST_PRICES, CallUsage, PriceTable, plain_name
from agent.provider.usage_meter import UsageMeter

PRICES = PriceTable()
MILLION = 1_000_000
NUMBER = rb":([\d.e]+)"
KINDS = (b"input", b"output", b"cache_write_5m", b"cache_write_1h", b"cache_read")
TIER = re.compile(rb"(\w+):\{" + b",".join(kind + NUMBER for kind in KINDS))
MODEL = re.compile(rb'\{id:"([\w-]+)",family:"\w+",display_name:"[^"]*".{0,1500}?pricing:"(\w+)"', re.DOTALL)


def catalogue() -> tuple[dict[str, list[float]], dict[str, str]]:
    """The prices that the CLI carries, by tier, and the tier of each model."""
    with CLAUDE.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(b"schema_version:1,pricing_tiers:{")
        text = content[start : start + 40_000]
    tiers = {name.decode(): [float(price) for price in prices] for name, *prices in TIER.findall(text)}
    return tiers, {name.decode(): tier.decode() for name, tier in MODEL.findall(text)}


def test_the_list_is_the_one_that_the_pinned_cli_carries() -> None:
    tiers, models = catalogue()
    assert len(models) > 20
    for name, tier in models.items():
        price = LIST_PRICES[plain_name(name)]
        kinds = [price.input, price.output, price.cache_write_5m, price.cache_write_1h, price.cache_read]
        assert kinds == pytest.approx(tiers[tier]), name


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("claude-sonnet-5-5", CallUsage(input_tokens=MILLION), 2),
        ("claude-sonnet-4-20250514", CallUsage(output_tokens=MILLION), 15),
        ("claude-opus-5-5[1m]", CallUsage(cache_read_input_tokens=MILLION), 0.2),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", CallUsage(cache_creation_input_tokens=MILLION), 1.25),
        (
            "claude-haiku-4-5",
            CallUsage(cache_creation_input_tokens=MILLION, cache_creation_1h_input_tokens=MILLION),
            2,
        ),
        ("claude-haiku-5-5", CallUsage(input_tokens=100_000), 0.01),
        ("claude-haiku-5-5", CallUsage(input_tokens=100_000, cache_read_input_tokens=MILLION), 0.05 + 0.05),
        ("claude-opus-4-6", CallUsage(output_tokens=MILLION, fast=True), 150),
        ("claude-sonnet-5", CallUsage(input_tokens=MILLION, us_only=True), 2.2),
        ("claude-sonnet-5", CallUsage(web_searches=3), 0.03),
        ("nobody-knows-it", Usage(input_tokens=MILLION, output_tokens=MILLION), 15 + 75),
        ("claude-sonnet-5", CallUsage(input_tokens=-MILLION), 0),
    ],
)
def test_a_call_costs_what_its_tokens_cost(model: str, usage: Usage, dollars: float) -> None:
    assert PRICES.cost(model, usage) == pytest.approx(dollars)


def test_settings_override_the_list_and_price_every_other_model() -> None:
    own = PriceTable({"claude-sonnet-5": ModelPrice(input=1, output=1), "*": ModelPrice(input=7, output=7)})
    assert own.cost("claude-sonnet-5", Usage(input_tokens=MILLION)) == 1
    assert own.cost("some-other", Usage(output_tokens=MILLION)) == 7
    assert own.cost("claude-opus-4-1", Usage(output_tokens=MILLION)) == 75
    assert own.price_of("claude-sonnet-5").cache_read == pytest.approx(0.1)


def test_what_the_provider_did_besides_the_answer_is_paid_too() -> None:
    meter = UsageMeter("application/json", "")
    meter.feed(
        b'{"type": "message", "model": "claude-sonnet-5", "usage": {"input_tokens": 1000000, "output_tokens": 0,'
        b' "cache_creation_input_tokens": 1000000, "cache_creation": {"ephemeral_1h_input_tokens": 1000000},'
        b' "server_tool_use": {"web_search_requests": 10}, "inference_geo": "us", "iterations": ['
        b'{"type": "message", "input_tokens": 1000000}, {"type": "compaction", "output_tokens": 1000000},'
        b'{"type": "advisor_message", "model": "claude-opus-5", "input_tokens": 1000000}]}}'
    )
    meter.finish()
    costs = [PRICES.cost(model or "claude-sonnet-5", part) for model, part in meter.parts]
    assert costs == pytest.approx([(2 + 4) * 1.1 + 0.1, 10, 5])


@pytest.mark.parametrize("number", ["-5", "1e400", "true", '"7"', "null", "1.5", "10000000000000000000000000000000"])
def test_a_count_that_is_none_counts_nothing(number: str) -> None:
    meter = UsageMeter("application/json", "")
    meter.feed(f'{{"type": "message", "model": "m", "usage": {{"input_tokens": {number}}}}}'.encode())
    meter.finish()
    assert meter.usage == Usage()
