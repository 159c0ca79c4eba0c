"""The first tables: inputs, outcomes, journals with their entries, idempotency claims."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "store_inputs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "store_outcomes",
        sa.Column("run_id", sa.Uuid, primary_key=True),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.Column("summary", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "store_journals",
        sa.Column("run_id", sa.Uuid, primary_key=True),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("batch_id", sa.Uuid, nullable=False),
    )
    op.create_table(
        "store_entries",
        sa.Column("run_id", sa.Uuid, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "store_claims",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("body_hash", sa.Text, nullable=False),
        sa.Column("run_id", sa.Uuid),
        sa.Column("claimed_at", INSTANT, nullable=False),
    )
