"""Settings of the store (DATABASE_URL, retention)."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import URL


class StoreSettings(BaseModel):
    """Address and retention of the store; read from the environment once at start."""

    model_config = ConfigDict(frozen=True)

    database_url: str | None = Field(
        default=None,
        repr=False,
        description="sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/NAME for several hosts; "
        "unset: an SQLite file under the state directory",
    )
    journal_retention_days: int = Field(
        default=14, ge=1, description="how many days after its last event a run's journal is kept"
    )
    record_retention_days: int | None = Field(
        default=None,
        ge=1,
        description="how many days a run's input and outcome are kept; unset: RUN_RETENTION_DAYS",
    )
    idempotency_hours: float = Field(default=24, gt=0, description="how many hours an Idempotency-Key is remembered")


def default_database_url(state_dir: Path) -> str:
    """Return the URL of the SQLite file that is used without `database_url`."""
    return URL.create("sqlite", database=str(state_dir / "store.sqlite3")).render_as_string()
