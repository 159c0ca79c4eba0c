"""The table of what is known of each triage item."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "store_items",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("source", sa.LargeBinary, nullable=False, index=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("title", sa.LargeBinary, nullable=False),
        sa.Column("url", sa.LargeBinary),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("judged_at", INSTANT),
        sa.Column("judged_by", sa.Uuid),
        sa.Column("cost_usd", sa.Float),
        sa.Column("verdict", sa.LargeBinary),
    )
