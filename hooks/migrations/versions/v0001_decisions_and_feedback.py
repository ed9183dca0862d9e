"""Decisions, their cards, and feedback."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("hook", sa.Text, nullable=False),
        sa.Column("hook_instance", sa.Text, nullable=False),
        sa.Column("patient", sa.String(32), nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("protocol_version", sa.Text, nullable=False),
        sa.Column("protocol_digest", sa.Text, nullable=False),
        sa.Column("software", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("milliseconds", sa.Float, nullable=False),
        sa.Column("answer_digest", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text),
    )
    op.create_index("decision_at", "decision", ["at"])
    op.create_index("decision_patient", "decision", ["patient"])
    op.create_table(
        "card",
        sa.Column("decision", sa.String(36), sa.ForeignKey("decision.id"), primary_key=True),
        sa.Column("uuid", sa.String(36), primary_key=True),
        sa.Column("advice", sa.String(36), nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("indicator", sa.Text, nullable=False),
    )
    op.create_index("card_uuid", "card", ["uuid"])
    op.create_index("card_advice", "card", ["advice"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("received", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("feedback_card", "feedback", ["card"])


def downgrade() -> None:
    for table in ("feedback", "card", "decision"):
        op.drop_table(table)
