"""Where both branches begin."""

revision = 'd0f100000001'
down_revision = None


def upgrade():
    """Nothing: tables come by the branch "expand"."""
