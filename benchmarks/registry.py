"""The benchmarks, in the order in which they are run; each is a module of that name with a `main`."""

from __future__ import annotations

TITLES = {
    "latency": "Answers: how soon, and how many",
    "growth": "Cost as work grows",
    "history": "With ten thousand jobs behind it",
    "footprint": "Memory, CPU and the event loop",
    "terminal": "The start of the terminal",
    "job_start": "How soon a job starts",
    "chat_burst": "Sixteen chat completions at once",
    "execute_burst": "A thousand jobs at once",
    "streams": "Two hundred streams at once",
    "workspaces": "Repositories from 100 to 50,000 files",
    "cell_price": "What a sandbox costs",
    "provider_proxy": "What the provider's proxy costs",
    "embedded_server": "The embedded Prefect server beside the stock one",
}
