"""The table of handled triage items."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "store_handled",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claim_id", sa.Uuid, nullable=False, index=True),
        sa.Column("owner", sa.Uuid, nullable=False, index=True),
        sa.Column("run_id", sa.Uuid),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.LargeBinary),
        sa.Column("source", sa.LargeBinary, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
