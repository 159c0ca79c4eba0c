"""Prepares free slots in the background, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

from agent.claude.arguments import build_argv
from agent.claude.launcher import Launcher
from agent.claude.process_spec import ProcessSpec
from agent.domain.checkout import Checkout, Identity, Snapshot
from agent.domain.errors import AgentError
from agent.pool.demand import Demand, WarmTarget, warm_targets
from agent.pool.slot_states import SlotState, SlotStates, is_same
from agent.pool.slots import Slot, Slots
from agent.pool.warm_process import WarmProcess
from agent.system.machine import read_machine
from agent.workspaces.agent_definitions import agent_name
from agent.workspaces.workspaces import Workspaces

_MEMORY_PER_PROCESS = 200 * 1024 * 1024  # an idle CLI takes 170 MB, its run soon more
_RESERVED_MEMORY = 1024 * 1024 * 1024  # stays free for runs: below it none is prepared
_MAX_AGE_SECONDS = 1800.0  # a process holds files and memory open: a fresh one now and then
_RETRY_SECONDS = 60.0  # a target that failed fails again at once, and each attempt costs a fetch or a start
_CHECK_SECONDS = 5.0  # longest time until a change that nothing announces, e.g. free memory, is seen
_SETTLE_SECONDS = 0.05  # a run that follows on the heels of another gets the slot first

_log = logging.getLogger(__name__)


def default_most() -> int:
    """Return how many idle processes a quarter of the free memory holds: the machine's, or the container's."""
    return int(read_machine().available_bytes / 4 / _MEMORY_PER_PROCESS)


class Refiller:
    """Keeps at most `most` warm processes in free slots; made by the WarmPool for as long as it fills.

    A process for each spec of `always` is kept although no run has asked for it, and one like `spare` for any agent.
    Runs that wait for a slot come first, and nothing is added unless `has_room`. `slot_released` wakes it.
    """

    def __init__(
        self,
        states: SlotStates,
        demand: Demand,
        slots: Slots,
        workspaces: Workspaces,
        launcher: Launcher,
        directory: Path,
        most: int,
        slot_released: asyncio.Event,
        *,
        always: Sequence[ProcessSpec] = (),
        spare: ProcessSpec | None = None,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._states = states
        self._demand = demand
        self._slots = slots
        self._workspaces = workspaces
        self._launcher = launcher
        self._directory = directory
        self._most = most
        self._slot_released = slot_released
        self._always = always
        self._spare = spare
        self._has_room = has_room
        self._paused_until: dict[WarmTarget, float] = {}
        self._refreshed_at = 0.0
        self._last_logged = ""

    async def fill(self) -> None:
        """Prepare slots until cancelled. A failure costs a warm process, never the service."""
        while self._most > 0:
            self._slot_released.clear()
            try:
                await self._refresh()
                self._discard_unwanted()
                if await self._prepare_next():
                    continue
            except Exception as error:
                self._log_once(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._slot_released.wait()
            await asyncio.sleep(_SETTLE_SECONDS)

    def _log_once(self, error: Exception) -> None:
        if str(error) != self._last_logged:
            self._last_logged = str(error)
            expected = isinstance(error, AgentError)
            _log.warning("a warm process could not be prepared: %s", error, exc_info=not expected)

    async def _refresh(self) -> None:
        """Fetch the recently used workspaces before their debounce time ends, so that no run has to."""
        fresh_seconds = self._workspaces.settings.fetch_debounce_seconds
        if fresh_seconds <= 0 or time.monotonic() - self._refreshed_at < 0.5 * fresh_seconds:
            return
        self._refreshed_at = time.monotonic()
        for workspace, ref in {(spec.workspace, spec.ref) for spec in self._demand.recent(self._always)}:
            with contextlib.suppress(AgentError):  # the next run of it reports the error
                self._states.note_newest(workspace, ref, await self._workspaces.sync(workspace, ref, fresh=True))

    def _targets(self, *, with_paused: bool) -> list[WarmTarget]:
        """Return what to keep ready. A paused target takes no other's place, but a process of it that works is kept."""
        frequent = self._demand.frequent(self._always)
        if not with_paused:
            hot = [WarmTarget(spec=spec, hot=True) for spec in frequent]
            frequent = {target.spec: frequent[target.spec] for target in hot if not self._is_paused(target)}
        recent = [*self._demand.recent(self._always), *([self._spare] if self._spare else [])]
        spares = dict.fromkeys(spec.as_spare() for spec in recent) if self._states.are_spares_supported else ()
        return warm_targets(frequent, list(spares), self._most)

    def _discard_unwanted(self) -> None:
        """Discard processes that failed, are outdated, or are no longer a target."""
        wanted = {*self._targets(with_paused=True), *self._targets(with_paused=False)}
        for state in self._states.all:
            process = state.process
            if process is None:
                continue
            if process.has_failed or not process.is_usable:
                self._states.record_refusal(process, "it ended, or its checkout or the date changed")
                self._pause(process.target)
                self._states.discard(state)
            elif (
                process.target not in wanted
                or process.age_seconds > _MAX_AGE_SECONDS
                or (process.hot and not self._states.is_newest(process))
            ):
                self._states.discard(state)

    async def _prepare_next(self) -> bool:
        """Prepare a slot for the first target that lacks one. False if there is nothing to prepare."""
        if not self._may_prepare():
            return False
        prepared = Counter(process.target for process in self._states.processes)
        for target in self._targets(with_paused=False):
            if prepared[target] > 0:
                prepared[target] -= 1
            elif not self._is_paused(target) and (state := self._best_free(target)) is not None:
                await self._try_prepare(state, target)
                return True
        return False

    def _may_prepare(self) -> bool:
        enough_memory = read_machine().available_bytes >= _RESERVED_MEMORY
        has_less = len(self._states.processes) < self._most
        return has_less and not self._slots.waiting and self._has_room() and enough_memory

    async def _try_prepare(self, state: SlotState, target: WarmTarget) -> None:
        try:
            await self._prepare(state, target)
        except Exception as error:
            # one target that fails, e.g. for a branch that was deleted, must not keep the others from being prepared
            self._pause(target)
            self._log_once(error)

    def _pause(self, target: WarmTarget) -> None:
        self._paused_until[target] = time.monotonic() + _RETRY_SECONDS

    def _is_paused(self, target: WarmTarget) -> bool:
        now = time.monotonic()
        # targets come from callers' requests: what is over is forgotten, or this grows for ever
        self._paused_until = {paused: until for paused, until in self._paused_until.items() if until > now}
        return target in self._paused_until

    def _best_free(self, target: WarmTarget) -> SlotState | None:
        """Return a free slot without a process, if possible one whose checkout is at the right commit."""
        newest = self._states.newest(target.spec)
        free = [state for state in self._states.all if state.process is None and self._slots.is_free(state.slot)]

        def is_ready(state: SlotState) -> bool:
            return newest is not None and state.prepared is not None and is_same(state.prepared, newest)

        return max(free, default=None, key=is_ready)

    async def _prepare(self, state: SlotState, target: WarmTarget) -> None:
        spec, slot = target.spec, state.slot
        snapshot = await self._workspaces.sync(spec.workspace, spec.ref, allow_stale=True)
        self._states.note_newest(spec.workspace, spec.ref, snapshot)
        async with state.lock:
            # after each wait: a run may have acquired the slot meanwhile
            if not self._slots.is_free(slot):
                return
            if state.prepared is None or not is_same(state.prepared, snapshot):
                state.prepared = None
                await state.wait_closed()
                await self._workspaces.checkout(slot.directory, snapshot, Identity())
                state.prepared = snapshot
            # a run that acquired it waits for this lock: a process would keep it waiting longer
            if not self._slots.is_free(slot):
                return
            process = state.process = await self._start(slot, target, snapshot)
        await process.wait_ready()

    async def _start(self, slot: Slot, target: WarmTarget, snapshot: Snapshot) -> WarmProcess:
        path = slot.directory / "checkout"
        checkout = Checkout(path=path, snapshot=snapshot, read_paths=tuple(self._workspaces.read_paths(snapshot)))
        agent = agent_name(target.spec.agent, path) if target.hot else None
        name = f"warm-{uuid4().hex[:12]}"
        launch = self._launcher.launch(
            name,
            partial(build_argv, spec=target.spec, agent=agent),
            checkout,
            self._directory / name,
            max_budget_usd=0,  # no model call may be made before a run claims it
            model=target.spec.model,
            is_spare=not target.hot,
            offline=target.spec.network == "none",
        )
        async with AsyncExitStack() as stack:
            launched = await stack.enter_async_context(launch)
            return WarmProcess(launched, stack.pop_all(), target.spec, checkout, hot=target.hot)
