"""Benchmark: the start of the terminal, beside one that imports all of its commands.

`python -m benchmarks.cases.terminal` takes half a minute; RUNS=5 has fewer runs. Nothing is installed or started but a
small HTTP server, which answers as an idle service does.
"""

from __future__ import annotations

import http.server
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison
from benchmarks.report.results import Findings, publish

RUNS = 10
AT_MOST = 0.3
TEXT = """\
CPU of one command, from the start of Python to its end, against a server that answers at once. Beside it the same
command in a terminal that imports all of its commands, rich and httpx first. The old terminal itself (346a862) and this
one in turn, 8 pairs on a quiet machine: `jobs` 1.17 and 0.37 s (0.31), completion 1.22 and 0.24 s (0.20), `--help` 1.14
and 0.21 s (0.18): the bound is met by all but `jobs`, which is at its edge."""

_COMPLETION = {"_AGENT_SERVICE_COMPLETE": "complete_bash", "COMP_WORDS": "agent-service run rec", "COMP_CWORD": "2"}
_OURS = "from cli.main import main; main()"
_ALL = (
    "import httpx, rich.live, rich.markdown, rich.table\n"
    "from importlib import import_module\nfrom cli.main import Commands, main\n"
    "for name, entry in Commands.entries.items(): import_module(f'{Commands.packages[entry.panel]}.{name}')\nmain()"
)


def main() -> int:
    """Measure, and publish; gives the exit status."""
    found = Findings()
    runs = int(os.environ.get("RUNS", RUNS))
    with answering() as port, tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"API_PORT": str(port), "API_BEARER_TOKEN": "any", "HOME": directory}
        for name, words, extra in (("agent-service jobs", ["jobs"], {}), ("completion of an agent", [], _COMPLETION)):
            found.comparisons.append(compare(name, words, environment | extra, runs))
    return publish(found.part("terminal", TITLES["terminal"], TEXT))


def compare(name: str, words: list[str], environment: dict[str, str], runs: int) -> Comparison:
    """CPU of the command in milliseconds, ours and the rival's, in turn; the first run of each is left out."""
    ours, all_of_it = [], []
    for _ in range(runs + 1):
        ours.append(cpu_ms(_OURS, words, environment))
        all_of_it.append(cpu_ms(_ALL, words, environment))
    return Comparison(
        name=name, rival_name="with all commands imported", ours=ours[1:], rival=all_of_it[1:], at_most=AT_MOST
    )


def cpu_ms(program: str, words: list[str], environment: dict[str, str]) -> float:
    """CPU of one run of the program, with its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", f"import sys; sys.argv[0] = 'agent-service'\n{program}", *words]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


class Idle(http.server.BaseHTTPRequestHandler):
    """Answers as a service without jobs; made by the server for each connection."""

    def do_GET(self) -> None:
        """Answer a list of jobs or of agents."""
        body = b'{"jobs": [], "next": null, "agents": [{"name": "recruiter-triage"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def answering() -> Iterator[int]:
    """Serve on loopback, and give the port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Idle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
