from __future__ import annotations

import pytest

from store.errors import InputMissing
from store.store import Store

TEXTS = ["", "upgrade paperless", "before\0after", "\udc80 \ud800", "æ 漢 🦑 \r\n\t", "æ" * 3_000_000]


async def test_an_input_comes_back_as_it_was_saved(store: Store) -> None:
    for text in TEXTS:
        assert await store.inputs.load(await store.inputs.save(text)) == text


async def test_the_same_text_saved_twice_is_two_inputs(store: Store) -> None:
    first, second = await store.inputs.save("x"), await store.inputs.save("x")
    await store.inputs.delete(first)
    assert await store.inputs.load(second) == "x"


async def test_a_deleted_input_is_missing_by_name(store: Store) -> None:
    input_id = await store.inputs.save("x")
    await store.inputs.delete(input_id)
    await store.inputs.delete(input_id)
    with pytest.raises(InputMissing, match=input_id):
        await store.inputs.load(input_id)
