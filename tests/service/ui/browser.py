"""Chromium without a screen, driven by its own debugging protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

PROGRAM = "/usr/bin/chromium"
_START_SECONDS = 60.0
# Without the later ones it looks for its maker's hosts at each start.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Browser:
    """One window of one page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self.call("Page.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer of the browser to one command; raises RuntimeError for an error."""
        own = next(self._ids)
        self._connection.send(json.dumps({"id": own, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._connection.recv(timeout=60))
            if answer.get("id") == own:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)

    def resize(self, width: int, height: int) -> None:
        """Give the page so many pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def text(self) -> str:
        """What a person can read on the page."""
        return str(self.evaluate("document.body ? document.body.innerText : ''") or "")

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """All that can be read, once `text` can; raises AssertionError with what there is instead."""
        deadline = time.monotonic() + seconds
        while text not in (shown := self.text()):
            if time.monotonic() > deadline:
                raise AssertionError(f"the page never says {text!r}; it says: {shown[-2000:]}")
            time.sleep(0.1)
        return shown

    def follow(self, part: str, words: str) -> None:
        """Go where the link leads that has `part` in its address, and stands nearest to these words."""
        address = self.evaluate(
            """((part, words) => {
                const far = link => {
                    let steps = 0;
                    for (let one = link; one && !one.innerText.includes(words); one = one.parentElement) steps += 1;
                    return steps;
                };
                const links = [...document.querySelectorAll("a")].filter(link => link.href.includes(part));
                return links.sort((one, other) => far(one) - far(other))[0]?.href;
            })"""
            f"({json.dumps(part)}, {json.dumps(words)})"
        )
        assert address, f"no link leads to {part}"
        self.open(address)

    def type(self, text: str) -> None:
        """Type into what has the focus, and press Enter."""
        self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
            )

    def screenshot(self, path: Path, *, still: bool = True) -> None:
        """Keep what is on the screen as a PNG; `still`: once it has stood still for three seconds."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shots = [""]
        while len(shots) < 4 or (still and len(set(shots[-4:])) > 1):
            time.sleep(1)
            shots.append(str(self.call("Page.captureScreenshot", format="png")["data"]))
        path.write_bytes(base64.b64decode(shots[-1]))


@contextmanager
def open_browser(directory: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `directory`; gone at the end."""
    profile = directory / "profile"
    environment = {"PATH": os.defpath, "HOME": str(directory), "TZ": "UTC"}
    process = subprocess.Popen(
        [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connect(_page_address(profile / "DevToolsActivePort", process), max_size=None) as connection:
            yield Browser(connection)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _page_address(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            port = int(port_file.read_text().split()[0])
            pages = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
            return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))
        except (OSError, ValueError, IndexError, StopIteration, httpx.TransportError):
            time.sleep(0.1)
    raise AssertionError(f"{PROGRAM} did not start (exit status {process.poll()})")
