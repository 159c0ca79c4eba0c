"""Settings of a host, and the reader that fills each settings class from the environment and .env."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.domain.values import Frozen

Model = TypeVar("Model", bound=BaseModel)

LOST_AFTER = timedelta(minutes=10)
"""The default of LOST_AFTER_SECONDS: how long a run may be without an event before its host counts as lost."""


class SettingsError(Exception):
    """A setting has an invalid value; the message names the setting, and `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{reason}; {remedy}")


class HostSettings(Frozen):
    """Settings of a host; each field is an environment variable of the same name in capitals."""

    max_queue_depth: int = Field(
        default=100, ge=0, description="How many runs may wait for a slot; past it 429 or 503. 0: nothing waits."
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
    secrets_dir: Path | None = Field(
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
    """Return `settings` filled from the environment and `.env`. Raises SettingsError."""
    config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, enable_decoding=False)
    reader = create_model(settings.__name__, __base__=(_FromEnvironment, settings))
    reader.model_config.update(config)
    try:
        return settings.model_validate(reader().model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}", "correct it in the environment or in .env") from None


class _FromEnvironment(BaseSettings):
    """Base of the class that reads fields from the environment."""
