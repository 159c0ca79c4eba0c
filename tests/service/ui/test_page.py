"""The page at `/` in a real browser; its pictures in docs/images are made here."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

AGENT = "recruiter-triage"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> [x](javascript:alert(1))"
EDIT = {"tool": "Bash", "input": {"command": "printf 'One more line.\\n' >> README.md && ls"}}
SLOW = {"tool": "Bash", "input": {"command": "for i in $(seq 900); do sleep 0.1; done"}}


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path) as browser:
        browser.resize(1280, 860)
        yield browser


def keep(browser: Browser, name: str, *, still: bool = True) -> None:
    if "DOCS_PICTURES" in os.environ:
        browser.screenshot(PICTURES / name, still=still)


def script(task: str, *steps: dict[str, Any]) -> str:
    return f"{task}\n\noffline-model: {json.dumps(steps)}"


async def job(service: Service, prompt: str, **members: Any) -> str:
    body = {"agent": AGENT, "prompt": prompt} | members
    return str((await service.client.post("/execute", json=body)).json()["job_id"])


async def over(service: Service, job_id: str) -> dict[str, Any]:
    told: dict[str, Any] = (await service.client.get(f"/jobs/{job_id}?wait=120", timeout=150)).json()
    assert told["status"] != "running"
    return told


def log_in(browser: Browser, service: Service, view: str = "") -> None:
    browser.open(f"{service.url}/{view}")
    browser.wait_for("Token of this service")
    browser.type(service.token)


async def test_the_token_is_asked_once_and_the_views_show_what_there_is(service: Service, browser: Browser) -> None:
    said = f"I look at what is there.\n{HOSTILE}"
    finished = await job(
        service,
        script("Add a line to the README.", {"text": said} | EDIT, {"text": "One line was added to README.md."}),
    )
    assert (await over(service, finished))["status"] == "completed"
    triage = str((await service.client.post("/triage/inbox", json={"again": True})).json()["job_id"])
    await over(service, triage)
    failed = await job(service, "Upgrade the proxy.", ref="no-such-branch")
    await over(service, failed)
    running = await job(
        service,
        script(
            "Run the nightly backup.", {"text": "I run the backup, and wait for its end."} | SLOW, {"text": "never"}
        ),
    )
    try:
        await asyncio.to_thread(look_around, browser, service, finished, triage, running)
    finally:
        await service.client.delete(f"/jobs/{running}")


def look_around(browser: Browser, service: Service, finished: str, triage: str, running: str) -> None:
    log_in(browser, service)
    browser.wait_for("→ Bash for i in")
    shown = browser.wait_for("free slot")
    assert "1 of 3 slots in use" in shown
    keep(browser, "page-now.png", still=False)

    browser.open(f"{service.url}/#/run/{running}")
    browser.wait_for("I run the backup, and wait for its end.")
    keep(browser, "page-live.png", still=False)

    browser.open(f"{service.url}/#/run/{finished}")
    shown = browser.wait_for("One line was added to README.md.")
    assert HOSTILE in browser.wait_for(HOSTILE), "what an agent wrote is text, and never HTML"
    assert browser.evaluate("document.title") == "Claude Agent Service"
    assert "+One more line." in browser.wait_for("+One more line.")
    assert "Download kept work" in shown
    browser.evaluate("scrollTo(0, 0)")
    keep(browser, "page-finished.png")

    browser.open(f"{service.url}/#/runs")
    assert "no-such-branch" in browser.wait_for("no-such-branch"), "the reason of a bad end stands in the list"
    keep(browser, "page-runs.png")

    browser.open(f"{service.url}/#/triages")
    browser.wait_for("triage of inbox")
    browser.open(f"{service.url}/#/run/{triage}")
    browser.wait_for("quarantine")
    keep(browser, "page-triage.png")

    browser.open(f"{service.url}/#/schedules")
    browser.wait_for("task-runner/often")
    keep(browser, "page-schedules.png")

    browser.open(f"{service.url}/#/spend")
    browser.wait_for("By agent")
    keep(browser, "page-spend.png")

    browser.open(f"{service.url}/#/kept")
    browser.wait_for(finished[:13])

    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.resize(390, 844)
    browser.open(f"{service.url}/#/run/{finished}")
    browser.wait_for("One line was added")
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390, "nothing is cut on a narrow screen"
    browser.evaluate("scrollTo(0, 0)")
    keep(browser, "page-narrow-dark.png")


async def test_the_page_is_small_comes_from_here_alone_and_paints_at_once(service: Service, browser: Browser) -> None:
    await asyncio.to_thread(measure, browser, service)


def measure(browser: Browser, service: Service) -> None:
    log_in(browser, service)
    browser.wait_for("free slot")
    browser.call("Page.reload")
    browser.wait_for("free slot")
    paint = browser.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    loaded = browser.evaluate(
        "performance.getEntriesByType('resource').filter(one => !one.name.includes('/jobs')).map(one => one.name)"
    )
    print(f"first paint after {paint:.0f} ms")
    assert all(name.startswith(service.url) for name in loaded), loaded
    assert paint < 2000  # 100 ms on a quiet machine


async def test_the_api_reference_needs_no_internet_and_sends_requests(service: Service, browser: Browser) -> None:
    await asyncio.to_thread(try_a_route, browser, service)


def try_a_route(browser: Browser, service: Service) -> None:
    browser.open(f"{service.url}/docs")
    browser.wait_for("GET /agents")
    browser.evaluate(
        "document.querySelector('#list_agents').open = true;document.querySelector('#list_agents .row button').click()"
    )
    browser.wait_for("Token of this service")
    browser.type(service.token)
    assert AGENT in browser.wait_for("200 OK")
