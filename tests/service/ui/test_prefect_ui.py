"""What a person sees of the service in Prefect's UI, in a real browser; the pictures of the pages are made here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import PROGRAM, Browser, open_browser

if TYPE_CHECKING:
    from conftest import Service

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="needs the program chromium"),
]
PICTURES = Path(__file__).parents[3] / "docs" / "images"
"""With DOCS_PICTURES set, what is seen is kept there."""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path) as browser:
        yield browser


def keep(browser: Browser, name: str) -> None:
    if "DOCS_PICTURES" in os.environ:
        browser.screenshot(PICTURES / name)


async def finished(service: Service, answer: dict[str, str]) -> dict[str, str]:
    job = await service.client.get(f"/jobs/{answer['job_id']}", params={"wait": 120}, timeout=150)
    told: dict[str, str] = job.json()
    assert told["status"] == "completed", told
    return told


def log_in(browser: Browser, service: Service, url: str) -> None:
    browser.open(url)
    browser.wait_for("Login")
    browser.evaluate("document.querySelector('input').focus()")
    browser.type(service.stage.prefect_auth)


async def test_a_link_to_a_run_asks_for_the_password_and_leads_to_the_run(service: Service, browser: Browser) -> None:
    asked = {"agent": "recruiter-triage", "prompt": "Triage inbox/01-staff-engineer.md and write down your verdict."}
    job = await finished(service, (await service.client.post("/execute", json=asked)).json())
    await asyncio.to_thread(look_at_a_run, browser, service, job["flow_run_url"])


def look_at_a_run(browser: Browser, service: Service, url: str) -> None:
    browser.resize(1400, 1000)
    log_in(browser, service, url)
    shown = browser.wait_for("→ Read")
    assert "recruiter-triage: Triage inbox/01-staff-engineer.md" in shown
    # of three tags the page shows two, in an order of its own, and "+1"
    assert sum(tag in shown for tag in ("agent:recruiter-triage", "trigger:execute", "claude-agent")) == 2
    assert "Finished in state" not in shown
    keep(browser, "flow-run.png")
    browser.open(f"{url}?tab=Artifacts")
    browser.wait_for("What recruiter-triage answered")
    browser.follow("/artifacts/artifact/", "What recruiter-triage answered")
    shown = browser.wait_for("Tokens out")
    assert "Changes in git" in shown
    keep(browser, "artifact.png")


async def test_a_triage_and_its_items_lead_to_each_other(service: Service, browser: Browser) -> None:
    started = await service.client.post("/triage/inbox", json={"again": True})
    job = await finished(service, started.json())
    await asyncio.to_thread(look_at_a_triage, browser, service, job["flow_run_url"])


def look_at_a_triage(browser: Browser, service: Service, url: str) -> None:
    browser.resize(1500, 640)
    log_in(browser, service, url)
    assert "triage of inbox" in browser.wait_for("2 items are there")
    browser.open(f"{url}?tab=SubflowRuns")
    browser.wait_for("recruiter-triage: 08-thank-you.json")
    browser.open(f"{url}?tab=Artifacts")
    browser.wait_for("The items of inbox")
    browser.follow("/artifacts/artifact/", "The items of inbox")
    browser.wait_for("08-thank-you.json")
    keep(browser, "triage-report.png")
