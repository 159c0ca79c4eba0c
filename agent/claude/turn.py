"""One turn: sends a prompt to a process and follows it to the end: time limits, cancellation, suspension."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from agent.claude import control_messages as control
from agent.claude.process import AgentProcess
from agent.claude.stream_json import parse_line, read_events
from agent.domain.errors import AgentUnknown
from agent.domain.events import Event, Said, Sink, Started, TextDelta, ToolCalled, ToolReturned
from agent.domain.request import AgentRequest
from agent.domain.result import Ending, Invocation
from agent.redaction.redactor import Redactor
from agent.redaction.run_output import OutputRedactor, redact_invocation
from agent.system.concurrency import run_to_completion

Content = str | list[dict[str, Any]]

_INTERRUPT_SECONDS = 2.0
_EXIT_SECONDS = 10.0
_LEFTOVER_SECONDS = 1.0
_LARGE_CHARACTERS = 65_536
_PRINTED_CHARACTERS = 65_536


class Turn:
    """Drives a started process through one run, made by `Runtime.start_turn`; `invocation` has the output so far.

    An `initialized` process has received all but the prompt.
    """

    def __init__(
        self,
        process: AgentProcess,
        request: AgentRequest,
        agent: str,
        stall_seconds: float,
        sink: Sink,
        redactor: Redactor | None = None,
        *,
        initialized: bool = False,
    ) -> None:
        self._initialized = initialized
        self._redactor = redactor or Redactor()
        self._process = process
        self._request = request
        self._agent = agent
        self._stall_seconds = stall_seconds
        self._sink = sink
        self._output = OutputRedactor(self._redactor)
        self._final: Invocation | None = None
        self._on_result: Callable[[Invocation], None] = lambda invocation: None
        self._started_at = datetime.now(UTC)
        self._ending: Ending = "exit"
        self._started: Started | None = None
        self._acted = False
        self._open_tools: set[str] = set()
        self._result_line: str | None = None
        self._printed = ""
        self._stall = asyncio.timeout(None)

    async def run(
        self, content: Content, on_result: Callable[[Invocation], None] = lambda invocation: None
    ) -> Invocation:
        """Send `content`, read the output to its end, and leave no process.

        `on_result` is called with a result of ordinary size at once, as it will be if the process exits with 0.

        Raises AgentUnknown before the prompt is sent if the CLI does not know the agent. A run past its time limit,
        or silent for too long, is ended and `Invocation.ending` says so; so is a cancelled one, which raises on.
        """
        self._on_result = on_result
        try:
            await self._within_limits(content)
        except asyncio.CancelledError:
            await run_to_completion(self._stop("cancelled"))
            raise
        finally:
            await self._process.end()
            self._final = await run_to_completion(asyncio.to_thread(redact_invocation, self._redactor, self._so_far()))
        return self._final

    @property
    def invocation(self) -> Invocation:
        """The output so far, redacted."""
        return self._final or redact_invocation(self._redactor, self._so_far())

    def end_for_disk(self) -> None:
        """End the run at once, without asking the CLI, which would go on to fill the disk."""
        self._ending = "disk"
        self._process.kill()

    def _so_far(self) -> Invocation:
        return Invocation(
            started_at=self._started_at,
            finished_at=datetime.now(UTC),
            ending=self._ending,
            acted=self._acted,
            exit_code=self._process.exit_code,
            session_id=self._started.session_id if self._started else None,
            model=self._started.model if self._started else None,
            result_line=self._result_line,
            printed=self._printed,
            stderr=self._process.stderr,
        )

    async def _within_limits(self, content: Content) -> None:
        limit = asyncio.timeout(self._request.timeout_seconds)
        try:
            async with limit, self._stall:
                self._restart_stall_timer()
                await self._process.send(
                    control.user_message(content) if self._initialized else control.initialize(self._request)
                )
                await self._until_over(content)
        except TimeoutError:
            if not (limit.expired() or self._stall.expired()):
                raise
            await self._stop("timeout" if limit.expired() else "stalled")

    async def _until_over(self, content: Content) -> None:
        """Return at the result, the end of stdout or the process's exit, whichever is first."""
        reading = asyncio.create_task(self._read(content))
        exited = asyncio.create_task(self._process.exited())
        try:
            await asyncio.wait({reading, exited}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():  # something that outlives the CLI may hold its stdout open
                await asyncio.wait({reading}, timeout=_LEFTOVER_SECONDS)
            if reading.done():
                reading.result()
                self._process.close_stdin()
                await self._process.wait(_EXIT_SECONDS)
        finally:
            for task in (reading, exited):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _read(self, content: Content) -> None:
        async for line in self._process.lines():
            self._restart_stall_timer()
            match message := parse_line(line):
                case None:
                    self._printed = f"{self._printed}{line}\n"[-_PRINTED_CHARACTERS:]
                case {"type": "control_response", "response": {"request_id": control.INITIALIZE} as response}:
                    self._check_agent(response)
                    await self._process.send(control.user_message(content))
                case {"type": "result"}:
                    self._result_line = line
                    if len(line) <= _LARGE_CHARACTERS:
                        so_far = self._so_far().model_copy(update={"exit_code": 0})
                        self._on_result(redact_invocation(self._redactor, so_far))
                    return
                case _:
                    await self._emit(read_events(message), len(line))

    def _check_agent(self, response: dict[str, Any]) -> None:
        # with stream-json input the CLI ignores an agent that it does not know, and answers without it
        if not control.knows_agent(response, self._agent):
            raise AgentUnknown(self._agent, control.known_agents(response) or [])

    async def _emit(self, events: Sequence[Event], size: int) -> None:
        self._note(events)
        large = size > _LARGE_CHARACTERS  # to redact megabytes takes seconds, which would block the event loop
        passed = await asyncio.to_thread(self._output.pass_on, events) if large else self._output.pass_on(events)
        for event in passed:
            self._sink(event)
        self._restart_stall_timer()

    def _note(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Started():
                    self._started = event
                case ToolCalled():
                    self._acted = True
                    self._open_tools.add(event.id)
                case ToolReturned():
                    self._open_tools.discard(event.id)
                case Said() | TextDelta():
                    self._acted = True

    def _restart_stall_timer(self) -> None:
        # a running tool prints nothing, and is not a stall
        if self._stall.expired():
            return
        stalled_at = None if self._open_tools else asyncio.get_running_loop().time() + self._stall_seconds
        self._stall.reschedule(stalled_at)

    async def _stop(self, ending: Ending) -> None:
        # an interrupted CLI prints a result with the cost so far; `AgentProcess.end` follows
        self._ending = ending
        if self._result_line is not None or self._process.exit_code is not None:
            return
        await self._process.send(control.interrupt())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_INTERRUPT_SECONDS):
                async for line in self._process.lines():
                    if (parse_line(line) or {}).get("type") == "result":
                        self._result_line = line
                        return
