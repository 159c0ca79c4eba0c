"""Settings of a host, and the reader that fills each settings class from the environment and .env."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

from dotenv import dotenv_values
from pydantic import BaseModel, Field, SecretStr, ValidationError

from agent.domain.values import Frozen
from agent.redaction.known_values import variable_secrets
from agent.redaction.secret_values import file_secrets
from agent.settings import AgentSettings, LocalPath

Model = TypeVar("Model", bound=BaseModel)

LOST_AFTER = timedelta(minutes=10)
"""The default of LOST_AFTER_SECONDS: how long a run may be without an event before its host counts as lost."""


ENV_FILE = ".env"

_ALLOW_LISTS = ("AGENT_ENV_ALLOW", "GIT_ENV_ALLOW")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_OF_PROGRAMS = frozenset(
    (*_PROXIES, *map(str.lower, _PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")
)


class SettingsError(Exception):
    """A setting has an invalid value; the message names the setting, and `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{reason}; {remedy}")


class HostSettings(Frozen):
    """Settings of a host; each field is an environment variable of the same name in capitals."""

    max_queue_depth: int = Field(
        default=100,
        ge=0,
        description="Most requests that may queue. Beyond it: 429 (`/execute`) or 503 (`/v1`). 0 turns the queue off.",
    )
    queue_poll_seconds: float = Field(
        default=1.0, gt=0, description="How often the work pool is polled for runs that other programs created."
    )
    drain_seconds: float = Field(
        default=86_400,
        ge=0,
        description="How long running agents may take to finish once the service is stopped.",
    )
    end_lost_runs: bool = Field(
        default=True,
        description="True: an automation in Prefect ends the runs of a host that does not come back. "
        "`agent-service up` with its own Prefect server sets it to false: it starts its host again itself.",
    )
    lost_after_seconds: float = Field(
        default=LOST_AFTER.total_seconds(),
        ge=90,
        description="How long a run may be without a heartbeat before its host counts as lost; Prefect keeps the "
        "value of the first host in the automation until it is changed or deleted there.",
    )
    catch_up: Literal["one", "none"] = Field(
        default="one", description="Runs of a schedule that an outage has kept from starting: start one, or none."
    )
    missed_after_seconds: float = Field(
        default=300.0, gt=0, description="With CATCH_UP=none: a scheduled run that is later than this is skipped."
    )
    triage_capacity: int = Field(default=20, ge=1, description="Triages at once on this host; they take no slot.")
    triage_lease_seconds: float = Field(
        default=60.0, gt=0, description="After how long another triage takes over the items of one whose host has died."
    )
    min_free_disk_mb: int = Field(
        default=500,
        ge=0,
        description="With less free space than this under STATE_DIR, in megabytes, no work is taken. 0: no limit.",
    )
    run_retention_days: int = Field(
        default=90,
        ge=1,
        description="How many days after its end a run is kept in the embedded Prefect server, with its logs and "
        "artifacts, and in the store with its input and outcome. A Prefect server of yours has its own settings.",
    )
    secrets_dir: LocalPath | None = Field(
        default=None, description="Directory of named secrets, one file each; unset: `secrets` under STATE_DIR."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The lowest level that the service logs."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="json: each line of the log is one object, also of the embedded Prefect server."
    )
    traces_endpoint: str | None = Field(
        default=None,
        description="Address for traces, as OTLP over HTTP, e.g. http://localhost:4318/v1/traces; needs the extra "
        "`traces`. Unset: none.",
    )
    traces_headers: SecretStr | None = Field(
        default=None, description="Headers of these requests, as NAME=VALUE,NAME=VALUE."
    )

    @property
    def lost_after(self) -> timedelta | None:
        """How long a run may be without an event before an automation ends it; None: no automation."""
        return timedelta(seconds=self.lost_after_seconds) if self.end_lost_runs else None


def read_environment(settings: type[Model]) -> Model:
    """Return `settings` filled from the environment and `.env`, whose other variables are ignored.

    Raises SettingsError.
    """
    values = {name.upper(): value for name, value in read_env_file().items()}
    values |= {name.upper(): value for name, value in os.environ.items() if value}
    own = {name: values[name.upper()] for name in settings.model_fields if name.upper() in values}
    try:
        return settings.model_validate(own)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        reason = ": ".join([*map(str, first["loc"][1:]), first["msg"].removeprefix("Value error, ")])
        raise SettingsError(f"{name}: {reason}", "correct it in the environment or in .env") from None
    except ValueError as error:  # a default that cannot be found
        raise SettingsError(str(error), "set STATE_DIR to a directory that this user can write") from None


def read_env_file() -> dict[str, str]:
    """Return the variables of `.env` in the working directory that have a value. Raises SettingsError."""
    path = Path(ENV_FILE)
    if not path.is_file():  # some name the directory of a virtual environment so
        return {}
    try:
        # -sig: some editors begin a file with a byte order mark, which would belong to the first name
        found = dotenv_values(path, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError(f"{path.absolute()} cannot be read: {reason}", "correct it, or remove it") from None
    return {name: value for name, value in found.items() if value}


def load_env_file(settings: Iterable[type[BaseModel]]) -> None:
    """Put the service's variables of `.env` into this process's environment, which wins, for the processes it starts.

    These are the fields of `settings`, Prefect's, those for proxies and certificates, and those that GIT_ENV_ALLOW and
    AGENT_ENV_ALLOW name. Call it before `prefect` is imported. Raises SettingsError.
    """
    found = read_env_file()
    own = {name.upper() for one in settings for name in one.model_fields}
    listed = re.findall(r"\w+", " ".join(os.environ.get(name) or found.get(name, "") for name in _ALLOW_LISTS))
    for name, value in found.items():
        known = name.upper() in own or name in _OF_PROGRAMS or name in listed or name.startswith("PREFECT_")
        if known and not os.environ.get(name):
            os.environ[name] = value


def host_secrets(agent: AgentSettings, host: HostSettings) -> list[str]:
    """Return the secrets that this host has in files: `.env`, SECRETS_DIR, its own tokens."""
    own = [agent.state_dir / "prefect" / "auth-string", agent.state_dir / "api-token"]
    return [*env_file_secrets(), *file_secrets([host.secrets_dir or agent.state_dir / "secrets", *own])]


def env_file_secrets() -> list[str]:
    """Return the secrets in `.env`, also those of other programs: by their names, and the passwords in URLs."""
    return sorted(variable_secrets(read_env_file()))
