"""The files of the page: open, small, from here alone, and deaf to what agents write."""

from __future__ import annotations

import re

import pytest
from fake_host import FakeHost, client_of

from api.page.routes import FILES, STATIC

TEXTS = {path.name: path.read_text() for path in STATIC.iterdir()}


@pytest.mark.parametrize("path", FILES)
async def test_the_page_needs_no_token_and_loads_nothing_from_elsewhere(host: FakeHost, path: str) -> None:
    async with client_of(host, token=None) as stranger:
        answer = await stranger.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_what_the_page_shows_needs_the_token(host: FakeHost) -> None:
    async with client_of(host, token=None) as stranger:
        for path in ("/jobs", "/usage", "/schedules", "/kept", "/page/../jobs", "/page/nothing.js"):
            assert (await stranger.get(path)).status_code == 401


def test_the_page_is_small_and_names_no_other_host() -> None:
    assert sum(map(len, TEXTS.values())) < 60_000
    addresses = {address for text in TEXTS.values() for address in re.findall(r"https?://[\w.]+", text)}
    assert addresses == {"http://www.w3.org"}  # the name of SVG, which nothing loads


def test_the_page_makes_no_html_of_text() -> None:
    for name, text in TEXTS.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), name
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text), f"{name}: refused by its policy"


def test_every_file_that_a_page_loads_is_served() -> None:
    loaded = {path for text in TEXTS.values() for path in re.findall(r"(?:src|href)=\"(/page/[^\"]+)\"", text)}
    loaded |= {f"/page/{name}" for text in TEXTS.values() for name in re.findall(r"from \"\./([^\"]+)\"", text)}
    assert loaded == {path for path in FILES if path.startswith("/page/")}
