"""Benchmark: the cost of our proxy for a model call, its first byte and the whole of it.

python -m benchmarks.cases.provider_proxy
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from agent.provider.proxy import ProviderProxy
from agent.settings import AgentSettings
from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison, Figure
from benchmarks.report.results import Findings, publish

CHUNKS = 50
WARM_UP = 20
# As long as the CLI's first request of a run.
PROMPT = "x" * 43_000

TEXT = "The same streamed call of the offline model, directly and through the proxy that has the key, in turn."

Timings = dict[str, list[float]]


def main() -> int:
    """Run the model and the client as processes of their own, and the proxy in this one, as a host does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cases.provider_proxy", description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="measured calls each way, one after the other")
    parser.add_argument("--client", nargs=2, metavar=("URL", "KEY"), action="append", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(call_in_turn(options.client, options.calls)))
        return 0
    found = Findings()
    found.comparisons, found.figures = asyncio.run(measure(options.calls))
    return publish(found.part("provider_proxy", TITLES["provider_proxy"], TEXT))


Found = tuple[list[Comparison], list[Figure]]


async def measure(calls: int) -> Found:
    """Both ways side by side."""
    with TemporaryDirectory() as directory:
        port_file = Path(directory, "port")
        model = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "demo.offline_model.model", "--port-file", str(port_file), "--exit-with-parent"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        try:
            while not port_file.exists():
                await asyncio.sleep(0.01)
            return await measure_against(f"http://127.0.0.1:{port_file.read_text().strip()}", calls)
        finally:
            model.kill()
            await model.wait()


async def measure_against(url: str, calls: int) -> Found:
    """Call the model directly and through a proxy, in turn, and report."""
    settings = AgentSettings.model_validate({"anthropic_base_url": url, "anthropic_api_key": "sk-benchmark"})
    async with ProviderProxy(settings) as proxy:
        lease = proxy.lease("benchmark")
        before = time.process_time()
        ways = [["--client", url, "sk-benchmark"], ["--client", proxy.url, lease.token]]
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.cases.provider_proxy", "--calls", str(calls), *ways[0], *ways[1]),
            stdout=subprocess.PIPE,
        )
        printed, _ = await client.communicate()
        return report(json.loads(printed), 1000 * (time.process_time() - before) / len(lease.calls))


def report(ways: list[Timings], cpu_milliseconds: float) -> Found:
    """What both ways took, pair by pair."""
    comparisons = [
        Comparison(
            name=f"a model call through the proxy: {words}",
            rival_name="the same call without it",
            ours=ways[1][name],
            rival=ways[0][name],
        )
        for name, words in (("first", "its first byte"), ("whole", f"the whole of its {CHUNKS} chunks"))
    ]
    return comparisons, [Figure(name="the proxy's CPU for a call", values=[cpu_milliseconds])]


def call_in_turn(ways: list[list[str]], calls: int) -> list[Timings]:
    """The client's part: one call each way, in turn, each on a connection that stays open."""
    connections = [http.client.HTTPConnection(urlsplit(url).netloc) for url, _ in ways]
    timings: list[Timings] = [{"first": [], "whole": []} for _ in ways]
    for turn in range(WARM_UP + calls):
        for connection, (_, key), timing in zip(connections, ways, timings, strict=True):
            first, whole = call(connection, key)
            if turn >= WARM_UP:
                timing["first"].append(first)
                timing["whole"].append(whole)
    return timings


def call(connection: http.client.HTTPConnection, key: str) -> tuple[float, float]:
    """Milliseconds to the first byte of an answer, and to its last."""
    script = [{"text": "chunk " * CHUNKS, "chunks": CHUNKS}]
    content = f"{PROMPT} offline-model: {json.dumps(script)}"
    body = {"model": "claude-sonnet-4-6", "max_tokens": 1000, "stream": True}
    body["messages"] = [{"role": "user", "content": content}]
    headers = {"x-api-key": key, "content-type": "application/json", "anthropic-version": "2023-06-01"}
    start = time.perf_counter()
    connection.request("POST", "/v1/messages?beta=true", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read(1)
    first = time.perf_counter()
    answer.read()
    return 1000 * (first - start), 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
