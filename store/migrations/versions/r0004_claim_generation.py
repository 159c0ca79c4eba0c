"""The generation of an idempotency claim: what Prefect knows its run by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("store_claims", sa.Column("generation", sa.Uuid))
