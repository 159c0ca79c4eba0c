"""The page of the settings and .env.example are what the code says of itself."""

from __future__ import annotations

from api.settings_reference import EXAMPLE, PAGE, render_example, render_page


def test_the_page_of_the_settings_is_that_of_the_code() -> None:
    assert render_page() == PAGE.read_text(), "run `make docs`"


def test_the_example_is_that_of_the_code() -> None:
    assert render_example() == EXAMPLE.read_text(), "run `make docs`"
