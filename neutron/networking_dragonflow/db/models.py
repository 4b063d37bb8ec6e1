"""Our tables. See `journal` and `sync.lease` for what they are for."""

from neutron_lib.db import model_base
import sqlalchemy as sa

# SQLite counts up only what is called INTEGER.
BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


class JournalRow(model_base.BASEV2):
    """An object changed. What it is now is asked when the row is read."""

    __tablename__ = 'dragonflow_journal'

    seq = sa.Column(BIG, primary_key=True, autoincrement=True)
    kind = sa.Column(sa.String(16), nullable=False)
    object_id = sa.Column(sa.String(36), nullable=False)


class Lease(model_base.BASEV2):
    """Who leads. There is one row."""

    __tablename__ = 'dragonflow_lease'

    name = sa.Column(sa.String(16), primary_key=True)
    #: The leading worker; empty if the last one left in order.
    holder = sa.Column(sa.String(255), nullable=False)
    #: Grows with every change of the holder.
    epoch = sa.Column(BIG, nullable=False)
    #: Grows with every sign of life of the holder.
    beat = sa.Column(BIG, nullable=False)
