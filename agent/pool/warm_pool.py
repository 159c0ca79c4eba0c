"""Gives runs a process that was started ahead, if one matches.

A slot is prepared whole: its checkout and a process in it. A process serves one run. A run that no process matches
starts one, as if there were no pool.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from agent.claude.launcher import Launcher
from agent.claude.process_spec import ProcessSpec
from agent.domain.checkout import Checkout, Identity, Snapshot
from agent.domain.errors import AgentError
from agent.domain.request import AgentRequest
from agent.pool.demand import Demand
from agent.pool.refiller import Refiller, default_most
from agent.pool.slot_states import PoolCounters, SlotStates, is_same
from agent.pool.slots import Preference, Slot, Slots
from agent.pool.warm_process import ClaimFailed, WarmProcess
from agent.settings import AgentSettings
from agent.workspaces.workspaces import Workspaces


class WarmPool:
    """The warm processes of one host, made by its Runtime; `slot_released` is set when a slot is free again."""

    def __init__(
        self,
        settings: AgentSettings,
        slots: Slots,
        workspaces: Workspaces,
        launcher: Launcher,
        slot_released: asyncio.Event,
    ) -> None:
        self.demand = Demand(settings.agent_warm_minutes * 60)
        self._slots = slots
        self._workspaces = workspaces
        self._launcher = launcher
        self._slot_released = slot_released
        self._states = SlotStates(slots.all_free())
        self._most = min(slots.capacity, default_most() if settings.agent_warm is None else settings.agent_warm)
        self._directory = settings.state_dir / "warm"

    @property
    def counters(self) -> PoolCounters:
        """Hits, misses and replacements since the host's start."""
        return self._states.counters

    @property
    def idle(self) -> int:
        """The number of processes that wait for a run."""
        return len(self._states.processes)

    def preference(self, request: AgentRequest) -> Preference:
        """Return a ranking of free slots for `request`: best with a process for it, worst with one for others."""
        wanted = ProcessSpec.of(request)

        def rank(slot: Slot) -> int:
            state = self._states.of(slot)
            process = state.process
            if process is None:
                return -1 if state.lock.locked() else 0
            if process.hot and process.spec.matches(wanted) and self._states.is_newest(process):
                return 4 if process.is_ready else 3
            if not process.hot and process.spec.matches_as_spare(wanted):
                return 2 if process.is_ready else 1
            return -2

        return rank

    async def take_checkout(self, slot: Slot, request: AgentRequest, snapshot: Snapshot, identity: Identity) -> Path:
        """Return the path of the slot's checkout for a run: the prepared one, or a new one; raises WorkspaceError."""
        self._states.note_newest(request.workspace, ProcessSpec.of(request).ref, snapshot)
        state = self._states.of(slot)
        async with state.lock:
            prepared, state.prepared = state.prepared, None
            if prepared is not None and is_same(prepared, snapshot):
                with contextlib.suppress(AgentError):
                    return await self._workspaces.identify(slot.directory, identity)
            # a hot process has read the files of the checkout that goes now
            if state.process is not None and state.process.hot:
                self._states.discard(state)
            await state.wait_closed()
            return await self._workspaces.checkout(slot.directory, snapshot, identity)

    async def take_process(
        self, slot: Slot, request: AgentRequest, checkout: Checkout, agent: str, run_id: str
    ) -> WarmProcess | None:
        """Return the slot's process, which lacks only the prompt, for the caller to close; None without a match."""
        state = self._states.of(slot)
        process, state.process = state.process, None
        if process is None:
            self.counters.misses += 1
            return None
        try:
            if not self._fits(process, ProcessSpec.of(request), checkout):
                raise ClaimFailed("it was started for another kind of run")
            await process.claim(run_id, request, agent, self._launcher.path_in_sandbox(checkout))
        except ClaimFailed as refusal:
            self._states.record_refusal(process, str(refusal))
            self._states.close_in_background(process)
            self.counters.misses += 1
            return None
        except BaseException:
            self._states.close_in_background(process)
            raise
        self._states.record_use(process)
        self.counters.hits += 1
        return process

    @asynccontextmanager
    async def filling(
        self,
        *,
        always: Sequence[ProcessSpec] = (),
        spare: ProcessSpec | None = None,
        has_room: Callable[[], bool] = lambda: True,
    ) -> AsyncIterator[None]:
        """Prepare processes while this is open, see Refiller; at the end all idle ones are closed."""
        refiller = Refiller(
            self._states,
            self.demand,
            self._slots,
            self._workspaces,
            self._launcher,
            self._directory,
            self._most,
            self._slot_released,
            always=always,
            spare=spare,
            has_room=has_room,
        )
        filling = asyncio.create_task(refiller.fill())
        try:
            yield
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            await self._states.close_all()

    def _fits(self, process: WarmProcess, wanted: ProcessSpec, checkout: Checkout) -> bool:
        if process.hot:
            return process.spec.matches(wanted) and is_same(process.checkout.snapshot, checkout.snapshot)
        alike = self._launcher.trusts(process.checkout) == self._launcher.trusts(checkout)
        return alike and process.spec.matches_as_spare(wanted)
