"""One run of a process: sends the prompt and follows the output to the run's end, within its limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from agent.claude import control_messages as control
from agent.claude.answer.run_answer import is_error
from agent.claude.answer.schema_check import find_violation
from agent.claude.background_work import BackgroundWork
from agent.claude.process import AgentProcess
from agent.claude.stream_json import parse_line, read_events
from agent.claude.turn_output import TurnOutput
from agent.domain.errors import AgentUnknown
from agent.domain.events import Event, Sink, Warned
from agent.domain.request import AgentRequest
from agent.domain.result import Ending, Invocation
from agent.json_schema.modern import modernize
from agent.json_schema.tuples import restore_tuples
from agent.provider.lease import Lease
from agent.redaction.redactor import Redactor
from agent.redaction.run_output import OutputRedactor, redact_invocation
from agent.system.concurrency import run_to_completion
from agent.system.shell_sessions import ShellWatch

Content = str | list[dict[str, Any]]

_INTERRUPT_SECONDS = 2.0
_EXIT_SECONDS = 10.0
_WAKE_SECONDS = 5.0  # the CLI starts the turn that reports an ended task within 0.3 s
_LEFTOVER_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_BUSY_FACTOR = 10  # a build is worth waiting for; what keeps the processor busy for ever ends too
_MARGIN_SECONDS = 1.0  # so much of the time limit is left when background commands are ended for its sake
_LARGE_CHARACTERS = 65_536


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
        background_seconds: float = 20.0,
        lease: Lease | None = None,
    ) -> None:
        self._initialized = initialized
        self._lease = lease
        self._redactor = redactor or Redactor()
        self._process = process
        self._request = request
        self._agent = agent
        self._stall_seconds = stall_seconds
        self._background_seconds = background_seconds
        self._sink = sink
        self._censor = OutputRedactor(self._redactor)
        self._final: Invocation | None = None
        self._on_result: Callable[[Invocation], None] = lambda invocation: None
        self._output = TurnOutput(process, structured=request.json_schema is not None)
        self._background = BackgroundWork(_now)
        self._shells = ShellWatch(process.pid)
        self._is_closing = False
        self._limit = asyncio.timeout(None)
        self._stall = asyncio.timeout(None)
        self._prompting: asyncio.Task[None] | None = None

    async def run(
        self, content: Content, on_result: Callable[[Invocation], None] = lambda invocation: None
    ) -> Invocation:
        """Send `content`, read the output to the end of the run, and leave no process.

        The run ends when the agent has: background helpers are waited for, commands for `background_seconds`, and the
        last result counts. `on_result` is called with a result of ordinary size as soon as the run has ended, before
        the process exits.

        Raises AgentUnknown before the prompt is sent if the CLI does not know the agent. A run past its time limit,
        or silent for too long, is ended and `Invocation.ending` says so; so is a cancelled one, which raises on.
        """
        self._on_result = on_result
        try:
            await self._within_limits(content)
            await self._check_schema()
        except asyncio.CancelledError:
            await run_to_completion(self._stop("cancelled"))
            raise
        finally:
            await self._process.end()
            if self._lease is not None:
                await run_to_completion(self._lease.finish())
            self._final = await run_to_completion(asyncio.to_thread(self._redacted))
        return self._final

    @property
    def invocation(self) -> Invocation:
        """The output so far, redacted."""
        return self._final or self._redacted()

    def _redacted(self) -> Invocation:
        return redact_invocation(self._redactor, self._with_count(self._output.invocation()))

    def _with_count(self, invocation: Invocation) -> Invocation:
        """Add what the provider proxy counted; a run that was billed is not begun again."""
        lease = self._lease
        if lease is None:
            return invocation
        refusal = lease.trouble.as_refusal() if lease.trouble is not None else None
        counted = {
            "refusal": refusal,
            "counted_usd": lease.cost_usd,
            "counted_usage": lease.total_usage if lease.calls else None,
        }
        return invocation.model_copy(update={**counted, "acted": invocation.acted or lease.was_billed})

    def end_for_disk(self) -> None:
        """End the run at once, without asking the CLI, which would go on to fill the disk."""
        self._output.ending = "disk"
        self._process.kill()

    async def _within_limits(self, content: Content) -> None:
        try:
            async with self._limit, self._stall:
                self._limit.reschedule(_now() + self._request.timeout_seconds)
                self._restart_stall_timer()
                await self._process.send(
                    control.user_message(content) if self._initialized else control.initialize(self._request)
                )
                await self._until_over(content)
        except TimeoutError:
            if not (self._limit.expired() or self._stall.expired()):
                raise
            # a process that is slow to exit after the run's end does not count against the run
            if not self._is_closing:
                await self._stop("timeout" if self._limit.expired() else "stalled")

    async def _until_over(self, content: Content) -> None:
        """Return at the end of the run, of stdout or of the process, whichever is first."""
        reading = asyncio.create_task(self._follow(content))
        exited = asyncio.create_task(self._process.exited())
        try:
            await asyncio.wait({reading, exited}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():  # something that outlives the CLI may hold its stdout open
                await asyncio.wait({reading}, timeout=_LEFTOVER_SECONDS)
            if reading.done():
                reading.result()
        finally:
            for task in (reading, exited, self._prompting):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    async def _follow(self, content: Content) -> None:
        """Read to the end of stdout; once the agent has ended, for no longer than the CLI needs to exit."""
        while True:
            patience = asyncio.timeout_at(self._wait_until())
            try:
                async with patience:
                    async for line in self._process.lines():
                        await self._take(line, content)
                        if not self._is_closing and self._has_ended():
                            await self._close()
                        patience.reschedule(self._wait_until())
                break
            except TimeoutError:
                if not patience.expired():
                    raise
                if self._is_closing:
                    return
                if await self._is_given_up():
                    await self._close()
        if self._process.has_flooded:
            self._output.ending = "output"
            return
        self._process.close_stdin()
        await self._process.wait(_EXIT_SECONDS)

    def _has_ended(self) -> bool:
        """True if a result was given that nothing can follow."""
        message, work = self._output.answer.message, self._background
        if message is None or work.in_turn:
            return False
        return is_error(message) or not (work.live or work.will_wake)

    def _wait_until(self) -> float | None:
        """Return when the run is taken to have ended although more may come; None while the agent works."""
        work = self._background
        if self._output.answer.message is None or work.in_turn:
            return None
        if self._is_closing:
            return _now() + _EXIT_SECONDS
        if work.has_helpers:
            return None
        return min(self._ends_at(), _now() + _LOOK_SECONDS) if work.has_commands else self._ends_at()

    def _ends_at(self) -> float:
        """Return when background commands are ended, or a turn that does not come is not waited for any more."""
        work = self._background
        seconds = self._background_seconds * (_BUSY_FACTOR if self._shells.is_busy else 1)
        end = work.commands_end_at(seconds) if work.has_commands else _now()
        if work.will_wake:
            end = max(end, _now() + _WAKE_SECONDS)
        limit = self._limit.when()
        return end if limit is None else min(end, limit - _MARGIN_SECONDS)

    async def _is_given_up(self) -> bool:
        """True if nothing is waited for any more: time is up, or all that still runs are servers."""
        work = self._background
        if _now() >= self._ends_at() or not work.has_commands:
            return True
        await self._shells.look()
        return not work.will_wake and self._shells.are_servers(len(work.live))

    async def _close(self) -> None:
        """End what still runs in the background; the CLI exits, and whoever waits for the answer gets it."""
        self._is_closing = True
        if self._background.has_commands:
            self._sink(Warned(text="background commands still ran after the agent's answer, and were ended"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_INTERRUPT_SECONDS):
                for task in self._background.live:
                    await self._process.send(control.stop_task(task))
        self._process.close_stdin()
        line = self._output.answer.line
        if line is not None and len(line) <= _LARGE_CHARACTERS and self._request.json_schema is None:
            self._on_result(self._redacted())

    async def _take(self, line: str, content: Content) -> None:
        self._restart_stall_timer()
        is_large = len(line) > _LARGE_CHARACTERS  # megabytes take seconds, which would block the event loop
        message = await asyncio.to_thread(parse_line, line) if is_large else parse_line(line)
        if message is None:
            self._output.add_printed(line)
            return
        self._background.note(message)
        self._output.add_message(message, line)
        match message:
            case {"type": "control_response", "response": {"request_id": control.INITIALIZE} as response}:
                self._check_agent(response)
                # not awaited: a CLI that prints before it reads would wait for us as we for it
                self._prompting = asyncio.create_task(self._process.send(control.user_message(content)))
            case {"type": "result"}:
                pass
            case _ if not self._background.is_of_foreground(message):
                await self._emit(read_events(message), is_large)

    def _check_agent(self, response: dict[str, Any]) -> None:
        # with stream-json input the CLI ignores an agent that it does not know, and answers without it
        if not control.knows_agent(response, self._agent):
            raise AgentUnknown(self._agent, control.known_agents(response) or [])

    async def _check_schema(self) -> None:
        """Judge the answer as the agent gave it: what is redacted later does not count against it."""
        message, schema = self._output.answer.message or {}, self._request.json_schema
        if schema is not None and "structured_output" in message and self._output.ending == "exit":
            self._output.violation = await find_violation(
                modernize(schema), restore_tuples(message["structured_output"])
            )

    async def _emit(self, events: Sequence[Event], is_large: bool) -> None:
        events = self._output.add_events(events)
        passed = await asyncio.to_thread(self._censor.pass_on, events) if is_large else self._censor.pass_on(events)
        for event in passed:
            self._sink(event)
        self._restart_stall_timer()

    def _restart_stall_timer(self) -> None:
        # a running tool or command prints nothing, and is not a stall
        if self._stall.expired():
            return
        is_quiet = self._output.has_open_tools or self._background.has_commands
        self._stall.reschedule(None if is_quiet else _now() + self._stall_seconds)

    async def _stop(self, ending: Ending) -> None:
        # an interrupted CLI prints a result with the cost so far; `AgentProcess.end` follows
        self._output.ending = ending
        if self._is_closing or self._process.exit_code is not None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_INTERRUPT_SECONDS):
                await self._process.send(control.interrupt())
                async for line in self._process.lines():
                    message = parse_line(line) or {}
                    if message.get("type") == "result":
                        self._output.add_message(message, line)
                        return


def _now() -> float:
    return asyncio.get_running_loop().time()
