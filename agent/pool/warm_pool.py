"""The warm pool: in free slots, processes of the CLI that have started before anybody asks for them.

A slot is made ready whole, its checkout and a process in it. A process serves one run; what it cannot be told any
more makes it useless for another kind of run, and then that run starts one of its own, as if there were no pool.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
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
    """Lends what stands ready; a run that it has nothing for is never kept waiting by it."""

    def __init__(self, settings: AgentSettings, slots: Slots, workspaces: Workspaces, launcher: Launcher) -> None:
        self.demand = Demand(settings.agent_warm_minutes * 60)
        self._workspaces = workspaces
        self._launcher = launcher
        self._berths = SlotStates(slots.all_free())
        most = min(slots.capacity, default_most() if settings.agent_warm is None else settings.agent_warm)
        directory = settings.state_dir / "warm"
        self._filler = Refiller(self._berths, self.demand, slots, workspaces, launcher, directory, most)

    @property
    def tally(self) -> PoolCounters:
        """What became of those that were parked."""
        return self._berths.tally

    @property
    def parked(self) -> int:
        """How many processes wait for a run."""
        return len(self._berths.parked)

    def expect(self, hot: ProcessSpec, spare: ProcessSpec) -> None:
        """Have one ready for `hot` even if nobody has asked yet, and one like `spare` for any agent."""
        self.demand.standing = [hot]
        self._filler.spare = spare

    def preference(self, request: AgentRequest) -> Preference:
        """How well a free slot suits `request`: best with a process for it, worst with one for others."""
        wanted = ProcessSpec.of(request)

        def rank(slot: Slot) -> int:
            berth = self._berths.of(slot)
            parked = berth.parked
            if parked is None:
                return -1 if berth.lock.locked() else 0
            if parked.hot and parked.mold.suits(wanted) and self._berths.is_newest(parked):
                return 4 if parked.is_roused else 3
            if not parked.hot and parked.mold.suits_any_agent(wanted):
                return 2 if parked.is_roused else 1
            return -2

        return rank

    async def prepare(self, slot: Slot, request: AgentRequest, snapshot: Snapshot, identity: Identity) -> Path:
        """The slot's checkout for a run: as it lies there ready, or made anew; raises WorkspaceError."""
        self._berths.note(request.workspace, request.ref, snapshot)
        berth = self._berths.of(slot)
        async with berth.lock:
            ready, berth.ready = berth.ready, None
            if ready is not None and is_same(ready, snapshot):
                with contextlib.suppress(AgentError):
                    return await self._workspaces.identify(slot.directory, identity)
            if berth.parked is not None and berth.parked.hot:
                self._berths.dismiss(berth)
            return await self._workspaces.prepare(slot.directory, snapshot, identity)

    async def lend(
        self, slot: Slot, request: AgentRequest, checkout: Checkout, agent: str, run_id: str
    ) -> WarmProcess | None:
        """A process that has heard all but the prompt, for the borrower to close; None if there is none for it."""
        berth = self._berths.of(slot)
        parked, berth.parked = berth.parked, None
        if parked is None:
            self.tally.misses += 1
            return None
        try:
            if not self._fits(parked, ProcessSpec.of(request), checkout):
                raise ClaimFailed("it was made for another kind of run")
            await parked.claim(run_id, request, agent, self._launcher.seen_at(checkout))
        except ClaimFailed as refusal:
            self._berths.note_refusal(parked, str(refusal))
            self._berths.send_away(parked)
            self.tally.misses += 1
            return None
        except BaseException:
            self._berths.send_away(parked)
            raise
        self._berths.note_use(parked)
        self.tally.hits += 1
        return parked

    @asynccontextmanager
    async def filling(self, has_room: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
        """While this is open processes are made ready, more of them only while the disk `has_room`.

        At the end none is left that nobody has borrowed.
        """
        self._filler.has_room = has_room
        filling = asyncio.create_task(self._filler.fill())
        try:
            yield
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            await self._berths.clear()

    def _fits(self, parked: WarmProcess, wanted: ProcessSpec, checkout: Checkout) -> bool:
        if parked.hot:
            return parked.mold.suits(wanted) and is_same(parked.checkout.snapshot, checkout.snapshot)
        alike = self._launcher.trusts(parked.checkout) == self._launcher.trusts(checkout)
        return alike and parked.mold.suits_any_agent(wanted)
