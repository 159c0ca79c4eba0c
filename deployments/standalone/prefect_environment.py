"""The environments of the embedded Prefect server and of those who call it."""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from deployments.settings import HostSettings

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_SYSTEM = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")
KEPT = frozenset((*_SYSTEM, *_CERTIFICATES, *_PROXIES))
"""What the server's process inherits beside `PREFECT_*`; its automations may call webhooks."""

STORAGE_BLOCK = "local-file-system/agent-results"
"""Where results of runs would be kept: a reference that `storage_block.save_storage_block` makes good.

Hosts share it, each with a directory of its own: it is there to be named, for our flows keep their results themselves.
"""

_CLIENTS_OWN = frozenset(
    {"PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"}
)


def server_environment(state_dir: Path, host: str, port: int, auth_string: str) -> dict[str, str]:
    """Return the settings of an embedded server that keeps everything under `state_dir` and to itself."""
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
        **_SILENT,
        **_PROMPT,
        **_BATCHES,
        **_RARELY,
        **_RETENTION,
    }


_SILENT = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "DO_NOT_TRACK": "1",
}

# Who waits for a slot of a limit is told to come back after the average time it was held, up to these seconds;
# the stock 30, 30 and 10 leave a free slot unused for as long.
_PROMPT = {
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    # a job may well wait this long for an agent; that is a queue, not a late run
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


# Prefect looks again, each time, at the task runs of every flow run that was cancelled in the last day; the stock 20
# seconds let a hundred of them cost half of a busy server's work, and for good. Who is to end is told by its host.
_RARELY = {"PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "300"}

_RETENTION = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(_seconds(days=90)),
    "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": json.dumps(
        {"prefect.flow-run.heartbeat": _seconds(days=1)}
    ),
}


def chosen_environment(settings: HostSettings) -> dict[str, str]:
    """What the service's own settings mean for the embedded server; an operator's own `PREFECT_*` win over it."""
    retention = {"PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(_seconds(days=settings.run_retention_days))}
    if settings.log_format == "json":
        return retention | {"PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("prefect_logging_json.yml"))}
    return retention


def process_environment(settings: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of the server's process: an operator's own `PREFECT_*` win over `settings`,
    except for those that say where and for whom it serves."""
    kept = {name: value for name, value in inherited.items() if name in KEPT}
    operators = {
        name: value for name, value in inherited.items() if name.startswith("PREFECT_") and name not in _CLIENTS_OWN
    }
    fixed = ("PREFECT_HOME", "PREFECT_SERVER_API_HOST", "PREFECT_SERVER_API_PORT", "PREFECT_SERVER_API_AUTH_STRING")
    return kept | dict(settings) | operators | {name: settings[name] for name in fixed}


_HOSTS = {
    # the shortest Prefect allows: how soon a dead host's runs can be told from long ones
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "DO_NOT_TRACK": "1",
}


def shared_environment(home: Path) -> dict[str, str]:
    """Return what a process that runs flows against an operator's own server should have, where it is not set."""
    return {"PREFECT_HOME": str(home), "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": STORAGE_BLOCK, **_HOSTS}


def client_environment(
    api_url: str, auth_string: str, home: Path, result_storage_block: str | None = None
) -> dict[str, str]:
    """Return the settings of a process that runs flows against the embedded server.

    They count only if they are set before `prefect` is imported.
    """
    environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api_url,
        "PREFECT_API_AUTH_STRING": auth_string,
        # the newer of its two UIs: there a link to a run still leads to that run after the password was asked for
        "PREFECT_UI_URL": f"{api_url.removesuffix('/api')}/v2",
        # the server has no CSRF check and is our own version: two calls fewer for each client
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        **_HOSTS,
    }
    if result_storage_block is not None:
        environment["PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK"] = result_storage_block
    return environment


def prefect_home(state_dir: Path) -> Path:
    """Return where the embedded server keeps its files."""
    return state_dir / "prefect"


def http_origin(host: str, port: int) -> str:
    """Return how a browser or client on this machine addresses a server that listens on `host` and `port`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def auth_string(state_dir: Path) -> str:
    """Return the server's `user:password`: made at its first start, and the same ever after."""
    path = prefect_home(state_dir) / "auth-string"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _create(path, f"admin:{secrets.token_urlsafe(24)}\n")
    return path.read_text().strip()


def _create(path: Path, text: str) -> None:
    # whoever links first has made it; nobody ever reads half of it
    with tempfile.NamedTemporaryFile("w", dir=path.parent) as file:  # 0600
        file.write(text)
        file.flush()
        try:
            os.link(file.name, path)
        except FileExistsError:
            return
