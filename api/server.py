"""A host as a process: the API, the worker and the agents of one machine.

The event loop has a thread of its own, because Prefect raises inside of the main thread's loop on SIGTERM, which would
leave runs behind; the main thread receives the signals. Agents die with the thread that spawned them: the loop's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import httpx
import uvicorn
from prefect.exceptions import PrefectHTTPStatusError

from agent.claude.installation import list_models
from agent.domain.errors import NotConfigured
from agent.redaction.known_values import known_secrets
from agent.settings import AgentSettings
from agent.system.commands import CommandFailed
from agent.system.text import shorten
from api.app import create_app
from api.http.connections import server_config
from api.openai.chat_agent import ChatAgent
from api.openai.model_catalog import JOB_PROCESS_SPEC, chat_process_spec
from api.settings import ApiSettings
from deployments.host.host import Host, open_host
from deployments.maintenance.retention import Retention
from deployments.maintenance.state_cleanup import StateCleanup
from deployments.prefect_client.calls import PrefectUnavailable, calling_prefect
from deployments.prefect_client.engine import spare_the_loop, watch_children_without_threads
from deployments.registration.bootstrap import BOOTSTRAP, apply_register
from deployments.registration.parameters import request_check
from deployments.registration.register import RegisterError, find_register, read_register
from deployments.registration.storage_block import save_storage_block
from deployments.settings import HostSettings, SettingsError, host_secrets, read_environment
from deployments.standalone.parent_watch import watch_parent
from deployments.standalone.prefect_environment import prefect_home
from deployments.standalone.prefect_server import CannotListen, listen
from deployments.standalone.wait_notice import opening, waiting_for
from deployments.telemetry.logs import configure_logs
from deployments.triage.handler import TriageHandler
from deployments.worker.resumption import Resumptions
from deployments.worker.run_handlers import AgentRunHandler
from deployments.worker.settlement import Settlement
from deployments.worker.worker import AgentHostWorker
from store.errors import StoreUnavailable
from store.settings import StoreSettings, default_database_url
from store.store import Store, open_store

CANNOT_START = 2
"""The exit status of a host that would fail again in the same way: it is not to be started again."""

AWAY = 75
"""The exit status of a host whose store or Prefect server is out of reach: EX_TEMPFAIL."""

CRASHED = 70
"""The exit status of a host that failed after it had been ready; before, it is 1, as of an import that fails."""

_LAST_SECONDS = 30.0


_log = logging.getLogger(__name__)


class HostProcess:
    """Serves until it is asked to stop; asked again, it waits for nothing any more."""

    def __init__(self) -> None:
        self._agent_settings = read_environment(AgentSettings)
        self._api_settings = read_environment(ApiSettings)
        self._settings = read_environment(HostSettings)
        self._store_settings = read_environment(StoreSettings)
        self._loop = asyncio.new_event_loop()
        watch_children_without_threads(self._loop)
        self._status = 1  # until all went well
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def configure_logs(self) -> None:
        """Write the log as the settings say, without the secrets that they have."""
        own = (self._api_settings.api_bearer_token, self._settings.traces_headers)
        secrets = [secret.get_secret_value() for secret in own if secret is not None]
        secrets += known_secrets(self._agent_settings, os.environ) + host_secrets(self._agent_settings, self._settings)
        secrets.append(urlsplit(self._store_settings.database_url or "").password or "")
        configure_logs(self._settings.log_level, self._settings.log_format, secrets)

    def wait(self) -> int:
        """Run until all is over, and give the exit status."""
        thread = threading.Thread(target=self._run, name="host")
        thread.start()
        thread.join()
        return self._status

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
                self._status = 0
        except (RegisterError, CannotListen, NotConfigured) as error:
            self._fail(str(error), CANNOT_START)
        except (PrefectUnavailable, StoreUnavailable, httpx.TransportError, PrefectHTTPStatusError) as error:
            self._fail(shorten(str(error), 500), AWAY)

    def _fail(self, reason: str, status: int) -> None:
        print(reason, file=sys.stderr, flush=True)
        self._status = status

    def stop(self) -> None:
        """From any thread: take no more work and finish; a second time: finish at once."""
        self._loop.call_soon_threadsafe(lambda: (self._hurry if self._stop.is_set() else self._stop).set())

    def stop_at_once(self) -> None:
        """From any thread: end now what is at work, and finish."""
        self.stop()
        self.stop()
        watchdog = threading.Timer(_LAST_SECONDS, os._exit, args=[1])  # whatever may still wait for something
        watchdog.daemon = True
        watchdog.start()

    async def _serve(self) -> None:
        register = read_register(find_register(Path.cwd()), request_check(self._agent_settings))
        async with (
            opening(self._open_store(), "host", "its store") as store,
            opening(
                open_host(self._agent_settings, self._settings, store), "host", "an earlier one's rest to end"
            ) as host,
        ):
            with waiting_for("host", "Prefect to take the register"):
                # however slow Prefect is: this gets there
                async with store.locks.acquire(BOOTSTRAP), calling_prefect(None):
                    await save_storage_block(prefect_home(self._agent_settings.state_dir) / "storage")
                    await apply_register(host.prefect, register, self._settings.lost_after)
            resumptions = Resumptions(host)
            chat_agent = await ChatAgent(host, self._api_settings).name()
            async with (
                # first of all: runs that an earlier host has left Running hold the places of those that wait
                Settlement(host, resumptions).watching(),
                host.holds.pause.watching(),
                host.cancellations.watching(),
                host.heartbeats.repeating(),
                self._retention(host).repeating(),
                AgentHostWorker(AgentRunHandler(host, resumptions)).working(self._hurry),
                AgentHostWorker(TriageHandler(host)).working(self._hurry),
                host.runtime.warm.filling(
                    always=[chat_process_spec(self._api_settings, chat_agent)],
                    spare=JOB_PROCESS_SPEC,
                    has_room=lambda: not host.holds.disk.is_low,
                ),
                self._api(host),
            ):
                address = f"http://{self._api_settings.api_host}:{self._api_settings.api_port}"
                spare_the_loop()
                self._status = CRASHED  # until it has ended well
                print(f"host ready: {address} ({host.capacity().slots} agents at once)", flush=True)
                await self._stop.wait()

    def _retention(self, host: Host) -> Retention:
        return Retention(
            workspaces=host.runtime.workspaces,
            store=host.store,
            settings=self._store_settings,
            run_retention_days=self._settings.run_retention_days,
            cleanup=StateCleanup(host.runtime.workspaces, host.records, host.runtime.slots.capacity),
            is_disk_low=lambda: host.holds.disk.is_low,
        )

    def _open_store(self) -> AbstractAsyncContextManager[Store]:
        settings = self._store_settings
        url = settings.database_url or default_database_url(self._agent_settings.state_dir)
        return open_store(url, idempotency_hours=settings.idempotency_hours)

    async def _with_cli_models(self) -> ApiSettings:
        """Return the API's settings with the models of the CLI, if they say so and the CLI answers."""
        settings = self._api_settings
        if not settings.supported_models_from_cli:
            return settings
        try:
            models = await list_models(self._agent_settings)
        except CommandFailed as failure:
            _log.warning("the CLI does not list its models; SUPPORTED_MODELS alone can be asked for: %s", failure)
            return settings
        return settings.model_copy(update={"supported_models": [*settings.supported_models, *models]})

    @asynccontextmanager
    async def _api(self, host: Host) -> AsyncIterator[None]:
        """The API, until the end of this context; requests at work have the time of the worker's runs."""
        config = server_config(
            create_app(host, await self._with_cli_models()),
            timeout_keep_alive=60,
            timeout_graceful_shutdown=int(self._settings.drain_seconds),
        )
        server = uvicorn.Server(config)
        with listen(self._api_settings.api_host, self._api_settings.api_port, "API_PORT") as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield
            finally:
                server.should_exit = True
                hurried = asyncio.create_task(self._hurry.wait())
                await asyncio.wait({serving, hurried}, return_when=asyncio.FIRST_COMPLETED)
                hurried.cancel()
                server.force_exit = True
                await asyncio.gather(serving, hurried, return_exceptions=True)


def main() -> NoReturn:
    """Serve until SIGTERM or SIGINT, or until the parent that started this has gone."""
    try:
        process = HostProcess()
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(CANNOT_START)
    process.configure_logs()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    watch_parent(process.stop_at_once)
    sys.exit(process.wait())
