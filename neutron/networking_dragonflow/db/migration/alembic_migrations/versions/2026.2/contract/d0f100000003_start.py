"""Nothing to take away yet."""

from neutron.db import migration
from neutron.db.migration import cli

revision = 'd0f100000003'
down_revision = 'd0f100000001'
branch_labels = (cli.CONTRACT_BRANCH,)
neutron_milestone = [migration.RELEASE_2026_2]


def upgrade():
    """Nothing."""
