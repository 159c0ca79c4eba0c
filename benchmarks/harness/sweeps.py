"""The sweeps: a size that grows, its steps, and the reason for its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.harness.client import MeasuredCaller, prompt_of
from benchmarks.harness.sweep_runner import Sweeper
from benchmarks.timing import Way

FILLER = "The quick brown fox jumps over the lazy dog. "
OURS, BARE = "the service", "claude -p"
RIVALS = (BARE, f"{BARE}, streaming")


@dataclass(frozen=True)
class Sweep:
    """One thing that grows; from the size `once_from` on, each is measured once."""

    name: str
    title: str
    x_label: str
    sizes: tuple[int, ...]
    ways: Callable[[Sweeper, int], dict[str, Way]]
    explanation: str
    once_from: int = 1 << 62


def _callers(sweeper: Sweeper, callers: int) -> dict[str, Way]:
    return {OURS: lambda: sweeper.crowd(callers), BARE: lambda: sweeper.bare_crowd(callers)}


def _prompts(sweeper: Sweeper, size: int) -> dict[str, Way]:
    words = FILLER * (size // len(FILLER))
    prompt = f"{words}\n{prompt_of()}"
    return {OURS: lambda: sweeper.long(prompt), BARE: lambda: sweeper.bare_long(prompt)}


def _answers(sweeper: Sweeper, size: int) -> dict[str, Way]:
    prompt = prompt_of(repeat={"bytes": size}, usage={"output_tokens": 10})
    return {OURS: lambda: sweeper.whole(prompt), BARE: lambda: sweeper.bare.whole(prompt)}


def _events(sweeper: Sweeper, events: int) -> dict[str, Way]:
    prompt = prompt_of("word " * events, chunks=events, usage={"output_tokens": 10})
    return {
        f"{OURS}, streaming": lambda: MeasuredCaller(sweeper.client).streamed(prompt),
        f"{BARE}, streaming": lambda: sweeper.bare.streamed(prompt),
        "a job's journal, read again": lambda: sweeper.replay(events),
    }


SWEEPS = (
    Sweep(
        name="callers",
        title="Callers at once",
        x_label="callers",
        sizes=(1, 4, 16, 64),
        ways=_callers,
        once_from=64,
        explanation="Each answer costs a run of the CLI, most of it CPU: from as many callers as there are cores "
        "on the time of the last one grows in proportion, for the service as for the bare CLI with as "
        "many at a time as the service has slots. Few callers find a CLI that waits for them; of many, each pays "
        "for the process that is made in place of its own as well.",
    ),
    Sweep(
        name="prompts",
        title="Prompts from 1 KB to 5 MB",
        x_label="bytes of the prompt",
        sizes=(1_000, 10_000, 100_000, 1_000_000, 5_000_000),
        ways=_prompts,
        explanation="Up to 1 MB a prompt is lost in what the CLI does anyway; past that, it is copied, encoded and "
        "looked through a fixed number of times on its way, each time in proportion to its length.",
    ),
    Sweep(
        name="answers",
        title="Answers from 1 KB to 5 MB",
        x_label="bytes of the answer",
        sizes=(1_000, 10_000, 100_000, 1_000_000, 5_000_000),
        ways=_answers,
        explanation="The CLI says an answer three times, as a delta, as a message and in its result, and the "
        "service looks through each for secrets and keeps the last: a cost in proportion to the length, which is seen "
        "from 100 KB on, and from 1 MB on is more than a CLI that was started before saves.",
    ),
    Sweep(
        name="events",
        title="Streams from 10 to 10,000 events",
        x_label="events",
        sizes=(10, 100, 1_000, 10_000),
        ways=_events,
        explanation="Each event is read, looked through and sent on by itself, so past the start of the CLI a "
        "stream costs in proportion to its events; a journal is read a page of 100 at a time, each "
        "found by an index.",
    ),
)
