"""Environments of the embedded Prefect server and of its clients."""

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from agent.system.http import http_origin
from deployments.settings import HostSettings

_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_PROXIES = (*_PROXY_NAMES, *map(str.lower, _PROXY_NAMES))
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_SYSTEM = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")
KEPT = frozenset((*_SYSTEM, *_CERTIFICATES, *_PROXIES))
"""Variables that the server process inherits beside `PREFECT_*`; its automations may call webhooks."""

STORAGE_BLOCK = "local-file-system/agent-results"
"""The block for results of runs, created by `storage_block.save_storage_block`.

Hosts share the name, each with its own directory. It only has to exist: our flows keep their results themselves.
"""

_CLIENTS_OWN = frozenset(
    {"PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"}
)


_OLD_NAMES = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "PREFECT_RUNNER_HEARTBEAT_FREQUENCY",
    "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK",
    "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "PREFECT_SERVER_CORS_ALLOWED_ORIGINS",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "PREFECT_DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS",
    "PREFECT_SERVER_LOGGING_LEVEL": "PREFECT_LOGGING_SERVER_LEVEL",
    "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "PREFECT_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS",
    "PREFECT_SERVER_UI_API_URL": "PREFECT_UI_API_URL",
    "PREFECT_SERVER_UI_STATIC_DIRECTORY": "PREFECT_UI_STATIC_DIRECTORY",
}
"""Older names that Prefect also reads, for settings with a default of ours; those of services follow one pattern."""


def with_defaults(defaults: Mapping[str, str], operators: Mapping[str, str]) -> dict[str, str]:
    """Return `operators` with the defaults that they do not set, under a new or an old name of Prefect's."""
    return {name: value for name, value in defaults.items() if not _is_set(name, operators)} | dict(operators)


def _is_set(name: str, operators: Mapping[str, str]) -> bool:
    old = _OLD_NAMES.get(name, name.replace("PREFECT_SERVER_SERVICES_", "PREFECT_API_SERVICES_"))
    return name in operators or old in operators


def server_environment(state_dir: Path, host: str, port: int, auth_string: str) -> dict[str, str]:
    """Return the settings of an embedded server that keeps everything under `state_dir` and sends nothing out."""
    home = prefect_home(state_dir)
    origin = http_origin(host, port)
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_HOST": host,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_AUTH_STRING": auth_string,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origin,
        "PREFECT_UI_URL": origin,
        # a path, so that the UI also works through a tunnel, a published port or a reverse proxy
        "PREFECT_SERVER_UI_API_URL": "/api",
        # Prefect unpacks the UI beside its own code by default, where a service may not write
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        # in memory, the stock way, each restart forgets which runs a concurrency limit counts
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        **_SILENT,
        **_SHORT_WAITS,
        **_BATCHES,
        **_CLEANUP,
        **_RETENTION,
    }


_SILENT = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "DO_NOT_TRACK": "1",
}

# Prefect tells a run that waits for a concurrency slot to come back after the average time the slot was held, up to
# these seconds; the stock 30, 30 and 10 leave a free slot unused for as long.
_SHORT_WAITS = {
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    # a job may wait this long for an agent: it is queued, not late
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "300",
}

# One transaction for many task run events instead of one for each: a third of the server's work under load.
_BATCHES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "2",
}


def _seconds(**duration: float) -> int:
    return int(timedelta(**duration).total_seconds())


# Each loop reads the task runs of every flow run that was cancelled in the last day; at the stock 20 seconds a hundred
# of them cost half of a busy server's work. Hosts end cancelled runs themselves.
_CLEANUP = {"PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "300"}

_RETENTION = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(_seconds(days=90)),
    "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": json.dumps(
        {"prefect.flow-run.heartbeat": _seconds(days=1)}
    ),
}


def chosen_environment(settings: HostSettings) -> dict[str, str]:
    """Return the Prefect settings that follow from the service's own; `PREFECT_*` of the operator win over them."""
    retention = {"PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(_seconds(days=settings.run_retention_days))}
    if settings.log_format == "json":
        return retention | {"PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("prefect_logging_json.yml"))}
    return retention


def process_environment(settings: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the server process: `PREFECT_*` of the operator win over `settings`.

    Its directory, address and password are those of `settings`, which `start_server` has made from the operator's.
    """
    kept = {name: value for name, value in inherited.items() if name in KEPT}
    operators = {
        name: value for name, value in inherited.items() if name.startswith("PREFECT_") and name not in _CLIENTS_OWN
    }
    fixed = ("PREFECT_HOME", "PREFECT_SERVER_API_HOST", "PREFECT_SERVER_API_PORT", "PREFECT_SERVER_API_AUTH_STRING")
    return kept | with_defaults(settings, operators) | {name: settings[name] for name in fixed}


_HOSTS = {
    # the shortest that Prefect allows: a dead host's runs are found so much sooner
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "DO_NOT_TRACK": "1",
}


def shared_environment(home: Path) -> dict[str, str]:
    """Return the defaults of a process that runs flows against a Prefect server of the operator."""
    return {"PREFECT_HOME": str(home), "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": STORAGE_BLOCK, **_HOSTS}


def client_environment(
    api_url: str,
    auth_string: str,
    home: Path,
    result_storage_block: str | None = None,
    operators: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the settings of a process that runs flows against the embedded server with the operator's settings.

    They apply only if they are set before `prefect` is imported.
    """
    base = operators.get("PREFECT_SERVER_UI_SERVE_BASE") or operators.get("PREFECT_UI_SERVE_BASE") or ""
    csrf = operators.get("PREFECT_SERVER_CSRF_PROTECTION_ENABLED", "false")
    environment = {
        **fixed_client_environment(api_url, auth_string, home),
        # the newer of its two UIs: it keeps the link to a run while it asks for the password
        "PREFECT_UI_URL": f"{api_url.removesuffix('/api')}{base.rstrip('/')}/v2",
        # the server has no CSRF check by default, and our own version: saves two calls of each client
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": operators.get("PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED", csrf),
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        **_HOSTS,
    }
    if result_storage_block is not None:
        environment["PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK"] = result_storage_block
    return environment


def fixed_client_environment(api_url: str, auth_string: str, home: Path) -> dict[str, str]:
    """Return the part of `client_environment` that follows from the server, so that no operator's setting wins."""
    return {"PREFECT_HOME": str(home), "PREFECT_API_URL": api_url, "PREFECT_API_AUTH_STRING": auth_string}


def prefect_home(state_dir: Path) -> Path:
    """Return the directory of the embedded server's files."""
    return state_dir / "prefect"


def auth_string(state_dir: Path, operators: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the embedded server's `user:password`: the operator's, or one created at the first start and kept."""
    chosen = operators.get("PREFECT_SERVER_API_AUTH_STRING") or operators.get("PREFECT_API_AUTH_STRING")
    return chosen or create_once(prefect_home(state_dir) / "auth-string", f"admin:{secrets.token_urlsafe(24)}")


def create_once(path: Path, secret: str) -> str:
    """Write `secret` to a file that only this user can read, and return it; an existing file stays and is returned."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        # a link appears at once and whole, and the first process wins
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as file, contextlib.suppress(FileExistsError):  # 0600
            file.write(f"{secret}\n")
            file.flush()
            os.link(file.name, path)
    return path.read_text().strip()
