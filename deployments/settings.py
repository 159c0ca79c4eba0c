"""How the parts of a host are put together, and the one place that reads the environment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.domain.values import Frozen

Model = TypeVar("Model", bound=BaseModel)

LOST_AFTER = timedelta(minutes=10)
"""How long nothing is heard of a host before it counts as lost, if nothing else is said."""


class SettingsError(Exception):
    """A setting has a value it cannot have; the message names it and says what is wrong."""


class HostSettings(Frozen):
    """Each field is an environment variable of the same name in capitals."""

    max_queue_depth: int = Field(
        default=100, ge=0, description="What may wait for a slot; past it 429 or 503. 0: nothing waits."
    )
    queue_poll_seconds: float = Field(
        default=1.0, gt=0, description="How often the work pool is looked at for runs that came from elsewhere."
    )
    drain_seconds: float = Field(
        default=86_400, ge=0, description="How long running agents may take to finish once the service is stopped."
    )
    end_lost_runs: bool = Field(
        default=True,
        description="Whether an automation in Prefect ends the runs of a host that does not come back. "
        "`agent-service up` with its own Prefect server sets it to false: it starts its host again itself.",
    )
    lost_after_seconds: float = Field(
        default=LOST_AFTER.total_seconds(),
        ge=90,
        description="For how long nothing may be heard of a run before its host counts as lost; Prefect keeps what the "
        "first host has set, in the automation, until it is changed or deleted there.",
    )
    catch_up: Literal["one", "none"] = Field(
        default="one", description="What becomes of a schedule's runs that an outage has kept from starting."
    )
    missed_after_seconds: float = Field(
        default=300.0, gt=0, description="With CATCH_UP=none: a scheduled run that is so late is left out."
    )
    triage_capacity: int = Field(default=20, ge=1, description="Triages at once on this host; they take no slot.")
    triage_lease_seconds: float = Field(
        default=60.0, gt=0, description="How soon another triage takes over the items of one whose host has died."
    )
    min_free_disk_mb: int = Field(
        default=500,
        ge=0,
        description="With less room than this under STATE_DIR, in megabytes, no work is taken. 0: never refused.",
    )
    run_retention_days: int = Field(
        default=90,
        ge=1,
        description="How many days after its end a run is kept in the embedded Prefect server, with its logs and "
        "artifacts, and here its input and outcome. A server of yours has settings of its own.",
    )
    secrets_dir: Path | None = Field(
        default=None, description="Where named secrets lie, one file each; unset: `secrets` under STATE_DIR."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What the service writes to its own log."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="json: each line of the log is one object; the embedded Prefect server's, too."
    )
    traces_endpoint: str | None = Field(
        default=None,
        description="Where traces of runs go, as OTLP over HTTP, e.g. http://localhost:4318/v1/traces; needs the extra "
        "`traces`. Unset: none.",
    )
    traces_headers: SecretStr | None = Field(
        default=None, description="Headers of these requests, as NAME=VALUE,NAME=VALUE."
    )

    @property
    def lost_after(self) -> timedelta | None:
        """When other hosts give an end to the runs of one that has not come back; None: they do not."""
        return timedelta(seconds=self.lost_after_seconds) if self.end_lost_runs else None


def read_environment(settings: type[Model]) -> Model:
    """An instance of `settings` filled from the environment and `.env`; raises SettingsError."""
    config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, enable_decoding=False)
    reader = create_model(settings.__name__, __base__=(_FromEnvironment, settings))
    reader.model_config.update(config)
    try:
        return settings.model_validate(reader().model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}; correct it in the environment or in .env") from None


class _FromEnvironment(BaseSettings):
    """Reads fields from the environment."""
