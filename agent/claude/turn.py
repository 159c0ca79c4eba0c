"""One prompt given to one process, and all that is said until it is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from agent.claude import control_messages as command
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
    """Drives a started process through one run; `invocation` tells what came of it, whenever asked.

    One that is `introduced` has heard all but the prompt.
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
        introduced: bool = False,
    ) -> None:
        self._introduced = introduced
        self._redactor = redactor or Redactor()
        self._process = process
        self._request = request
        self._agent = agent
        self._stall_seconds = stall_seconds
        self._sink = sink
        self._censor = OutputRedactor(self._redactor)
        self._final: Invocation | None = None
        self._on_result: Callable[[Invocation], None] = lambda invocation: None
        self._started_at = datetime.now(UTC)
        self._ending: Ending = "exit"
        self._started: Started | None = None
        self._acted = False
        self._open_tools: set[str] = set()
        self._result_line: str | None = None
        self._printed = ""
        self._silence = asyncio.timeout(None)

    async def hold(
        self, content: Content, on_result: Callable[[Invocation], None] = lambda invocation: None
    ) -> Invocation:
        """Say `content`, listen to the end, and leave nothing running.

        `on_result` is told a result of ordinary size at once, as it will be if the process then exits as it should.

        Raises AgentUnknown before anything is said when the CLI does not know the agent. A run that is past its
        time or falls silent is ended and told by `Invocation.ending`; a cancellation ends it likewise and flies on.
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
        """What came of it so far, without secrets."""
        return self._final or redact_invocation(self._redactor, self._so_far())

    def overdraw(self) -> None:
        """End the run at once, without asking the CLI: it takes more of the disk with every moment."""
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
            async with limit, self._silence:
                self._heard()
                await self._process.send(
                    command.user_message(content) if self._introduced else command.initialize(self._request)
                )
                await self._until_over(content)
        except TimeoutError:
            if not (limit.expired() or self._silence.expired()):
                raise
            await self._stop("timeout" if limit.expired() else "stalled")

    async def _until_over(self, content: Content) -> None:
        """Listen until the result, the end of stdout, or the process's exit, whichever lets us go first."""
        listening = asyncio.create_task(self._listen(content))
        exited = asyncio.create_task(self._process.exited())
        try:
            await asyncio.wait({listening, exited}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():  # something that outlives the CLI may hold its stdout open
                await asyncio.wait({listening}, timeout=_LEFTOVER_SECONDS)
            if listening.done():
                listening.result()
                self._process.hang_up()
                await self._process.wait(_EXIT_SECONDS)
        finally:
            for task in (listening, exited):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _listen(self, content: Content) -> None:
        async for line in self._process.lines():
            self._heard()
            match message := parse_line(line):
                case None:
                    self._printed = f"{self._printed}{line}\n"[-_PRINTED_CHARACTERS:]
                case {"type": "control_response", "response": {"request_id": command.INITIALIZE} as response}:
                    self._check_agent(response)
                    await self._process.send(command.user_message(content))
                case {"type": "result"}:
                    self._result_line = line
                    if len(line) <= _LARGE_CHARACTERS:
                        so_far = self._so_far().model_copy(update={"exit_code": 0})
                        self._on_result(redact_invocation(self._redactor, so_far))
                    return
                case _:
                    await self._tell(read_events(message), len(line))

    def _check_agent(self, response: dict[str, Any]) -> None:
        """An agent that the CLI does not know would be ignored without a word: refuse it ourselves."""
        if not command.knows_agent(response, self._agent):
            raise AgentUnknown(self._agent, command.known_agents(response) or [])

    async def _tell(self, events: Sequence[Event], size: int) -> None:
        self._note(events)
        large = size > _LARGE_CHARACTERS  # to look through megabytes takes seconds, which the loop has not
        passed = await asyncio.to_thread(self._censor.pass_on, events) if large else self._censor.pass_on(events)
        for event in passed:
            self._sink(event)
        self._heard()

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

    def _heard(self) -> None:
        """Start the measure of silence anew; a tool at work is not silence."""
        if self._silence.expired():
            return
        silent_until = None if self._open_tools else asyncio.get_running_loop().time() + self._stall_seconds
        self._silence.reschedule(silent_until)

    async def _stop(self, ending: Ending) -> None:
        """Ask the CLI to end by itself, which gives us the cost so far; `AgentProcess.end` does the rest."""
        self._ending = ending
        if self._result_line is not None or self._process.exit_code is not None:
            return
        await self._process.send(command.interrupt())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_INTERRUPT_SECONDS):
                async for line in self._process.lines():
                    if (parse_line(line) or {}).get("type") == "result":
                        self._result_line = line
                        return
