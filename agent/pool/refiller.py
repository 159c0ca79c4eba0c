"""Makes free slots ready, one at a time, for what will probably be asked next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil

from agent.claude.arguments import build_argv
from agent.claude.launcher import Launcher
from agent.claude.process_spec import ProcessSpec
from agent.domain.checkout import Checkout, Identity, Snapshot
from agent.domain.errors import AgentError
from agent.pool.demand import Demand, WarmTarget, warm_targets
from agent.pool.slot_states import SlotState, SlotStates, is_same
from agent.pool.slots import Slot, Slots
from agent.pool.warm_process import WarmProcess
from agent.workspaces.agent_definitions import agent_name
from agent.workspaces.workspaces import Workspaces

MEMORY_EACH = 200 * 1024 * 1024
"""What a parked process takes, and what its run will add soon."""

SPARED_MEMORY = 1024 * 1024 * 1024
OLDEST_SECONDS = 1800.0
CALM_SECONDS = 0.05
TICK_SECONDS = 5.0
PAUSE_SECONDS = 60.0

_log = logging.getLogger(__name__)


def default_most() -> int:
    """As many as a quarter of the machine's free memory holds."""
    return int(psutil.virtual_memory().available / 4 / MEMORY_EACH)


class Refiller:
    """Fills `berths` with at most `most` processes; those that wait for a slot come first."""

    def __init__(
        self,
        berths: SlotStates,
        demand: Demand,
        slots: Slots,
        workspaces: Workspaces,
        launcher: Launcher,
        directory: Path,
        most: int,
    ) -> None:
        self.spare: ProcessSpec | None = None
        self.has_room: Callable[[], bool] = lambda: True
        self._berths = berths
        self._demand = demand
        self._slots = slots
        self._workspaces = workspaces
        self._launcher = launcher
        self._directory = directory
        self._most = most
        self._put_off: dict[WarmTarget, float] = {}
        self._refreshed_at = 0.0
        self._told = ""
        self._changed = asyncio.Event()
        slots.returned = self._changed.set

    async def fill(self) -> None:
        """Go on until cancelled; what fails leaves the service without a process that it could have had."""
        while self._most > 0:
            self._changed.clear()
            try:
                await self._refresh()
                self._let_go()
                if await self._add_one():
                    continue
            except Exception as error:
                self._tell(error)
                await asyncio.sleep(PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._changed.wait()
            await asyncio.sleep(CALM_SECONDS)

    def _tell(self, error: Exception) -> None:
        """Say once why there are none."""
        if str(error) != self._told:
            self._told = str(error)
            expected = isinstance(error, AgentError)
            _log.warning("no process is made ready for a while: %s", error, exc_info=not expected)

    async def _refresh(self) -> None:
        """See what moved before it is too old for a run, so that no run has to."""
        fresh_seconds = self._workspaces.settings.fetch_debounce_seconds
        if fresh_seconds <= 0 or time.monotonic() - self._refreshed_at < 0.5 * fresh_seconds:
            return
        self._refreshed_at = time.monotonic()
        for workspace, ref in {(mold.workspace, mold.ref) for mold in self._demand.lately()}:
            with contextlib.suppress(AgentError):  # the next run will say what is wrong
                self._berths.note(workspace, ref, await self._workspaces.sync(workspace, ref, fresh=True))

    def _wishes(self) -> list[WarmTarget]:
        """Spares for what was asked for lately, and one for whoever asks for nothing special."""
        kinds = [mold.for_any() for mold in self._demand.lately()] + ([self.spare.for_any()] if self.spare else [])
        spares = list(dict.fromkeys(kinds)) if self._berths.spares_work else []
        return warm_targets(self._demand.often(), spares, self._most)

    def _let_go(self) -> None:
        """End those that nobody will want any more."""
        wanted = {(wish.mold, wish.hot) for wish in self._wishes()}
        for berth in self._berths.all:
            parked = berth.parked
            if parked is None:
                continue
            if parked.broke or not parked.is_sound:
                self._berths.note_refusal(parked, "it has ended by itself")
                self._put_off[WarmTarget(mold=parked.mold, hot=parked.hot)] = time.monotonic() + PAUSE_SECONDS
                self._berths.dismiss(berth)
            elif (
                (parked.mold, parked.hot) not in wanted
                or parked.age_seconds > OLDEST_SECONDS
                or (parked.hot and not self._berths.is_newest(parked))
            ):
                self._berths.dismiss(berth)

    async def _add_one(self) -> bool:
        """Make one more ready, if there is a wish for it and room; False if not."""
        if self._slots.waiting or not self.has_room() or psutil.virtual_memory().available < SPARED_MEMORY:
            return False
        there = [WarmTarget(mold=parked.mold, hot=parked.hot) for parked in self._berths.parked]
        for wish in self._wishes():
            if wish in there:
                there.remove(wish)
            elif self._put_off.get(wish, 0) < time.monotonic() and (berth := self._room(wish)) is not None:
                await self._make_ready(berth, wish)
                return True
        return False

    def _room(self, wish: WarmTarget) -> SlotState | None:
        """A free slot with nothing in it; one whose checkout is right already is best."""
        newest = self._berths.newest(wish.mold)
        free = [berth for berth in self._berths.all if berth.parked is None and self._slots.is_free(berth.slot)]
        return max(free, default=None, key=lambda berth: bool(newest and berth.ready and is_same(berth.ready, newest)))

    async def _make_ready(self, berth: SlotState, wish: WarmTarget) -> None:
        mold, slot = wish.mold, berth.slot
        snapshot = await self._workspaces.sync(mold.workspace, mold.ref, allow_stale=True)
        self._berths.note(mold.workspace, mold.ref, snapshot)
        async with berth.lock:
            if not self._slots.is_free(slot):
                return
            if berth.ready is None or not is_same(berth.ready, snapshot):
                berth.ready = None
                await self._workspaces.prepare(slot.directory, snapshot, Identity())
                berth.ready = snapshot
            if not self._slots.is_free(slot):  # whoever has it waits for the checkout, and no longer
                return
            parked = berth.parked = await self._park(slot, wish, snapshot)
        await parked.roused()

    async def _park(self, slot: Slot, wish: WarmTarget, snapshot: Snapshot) -> WarmProcess:
        path = slot.directory / "checkout"
        checkout = Checkout(path=path, snapshot=snapshot, read_paths=tuple(self._workspaces.read_paths(snapshot)))
        agent = agent_name(wish.mold.agent, path) if wish.hot else None
        name = f"warm-{uuid4().hex[:12]}"
        launched = self._launcher.launched(
            name,
            partial(build_argv, mold=wish.mold, agent=agent),
            checkout,
            self._directory / name,
            max_budget_usd=0,  # until it has a run it may call nobody
            is_spare=not wish.hot,
        )
        async with AsyncExitStack() as stack:
            process = await stack.enter_async_context(launched)
            return WarmProcess(process, stack.pop_all(), wish.mold, checkout, hot=wish.hot)
