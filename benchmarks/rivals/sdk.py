"""The official SDK's `query()`: a cold start for each answer, driven from Python."""

from __future__ import annotations

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

from benchmarks.rivals.bare_cli import BareCli
from benchmarks.timing import Stopwatch, Timing


async def query_sdk(bare: BareCli, prompt: str) -> Timing:
    """One answer, in the place and under the conditions of the bare CLI."""
    options = ClaudeAgentOptions(
        cwd=bare.directory,
        env=bare.environment(),
        model="claude-sonnet-4-6",
        permission_mode="bypassPermissions",
        max_budget_usd=2,
        system_prompt={"type": "preset", "preset": "claude_code"},
        extra_args={"agent": bare.agent},
    )
    watch = Stopwatch()
    ended = [message async for message in query(prompt=prompt, options=options) if isinstance(message, ResultMessage)]
    timing = watch.stop()
    if not ended or ended[-1].is_error:
        raise RuntimeError(f"the SDK's query failed: {ended}")
    return timing
