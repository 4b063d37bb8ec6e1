"""The journal and the lease."""

from alembic import op
from neutron.db import migration
from neutron.db.migration import cli
import sqlalchemy as sa

revision = 'd0f100000002'
down_revision = 'd0f100000001'
branch_labels = (cli.EXPAND_BRANCH,)
neutron_milestone = [migration.RELEASE_2026_2]


def upgrade():
    op.create_table(
        'dragonflow_journal',
        sa.Column('seq', sa.BigInteger(), primary_key=True, autoincrement=True),
        sa.Column('kind', sa.String(16), nullable=False),
        sa.Column('object_id', sa.String(36), nullable=False))
    op.create_table(
        'dragonflow_lease',
        sa.Column('name', sa.String(16), primary_key=True),
        sa.Column('holder', sa.String(255), nullable=False),
        sa.Column('epoch', sa.BigInteger(), nullable=False),
        sa.Column('beat', sa.BigInteger(), nullable=False))
