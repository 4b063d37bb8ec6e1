"""Who leads, by one row in the database.

Clocks of hosts are never compared: the leader counts up `beat`, and who sees it stand still for the length of the lease,
by its own monotonic clock, takes over with a greater epoch. A leader that cannot write its beat for that long stops by
itself; should it be too slow even for that, the controller refuses its epoch.
"""

import os
import socket
import threading
import time
import uuid

from neutron_lib import context as n_context
from neutron_lib.db import api as db_api
from oslo_db import exception as db_exc
from oslo_log import log
import sqlalchemy as sa

from networking_dragonflow.db import models

LOG = log.getLogger(__name__)

NAME = 'worker'
#: Signs of life in the time of a lease.
BEATS = 3


class Lease:
    """This process's part in the election."""

    def __init__(self, seconds, clock=time.monotonic):
        self.holder = f'{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}'
        self.epoch = None
        #: Set while another may lead, and when it is time to stop.
        self.lost = threading.Event()
        self.lost.set()
        self._seconds = seconds
        self._clock = clock
        self._seen = None
        self._seen_at = None
        self._alive_at = None

    @property
    def pause(self):
        """Seconds between two calls of `step`."""
        return self._seconds / BEATS

    def step(self):
        """A sign of life of the leader, or a look at it. True if we lead."""
        started = self._clock()
        try:
            leads = self._lead() if self.epoch is not None else self._follow()
        except db_exc.DBError as error:
            LOG.warning('the lease cannot be read: %s', type(error).__name__)
            leads = self.epoch is not None and started - self._alive_at < self._seconds
        else:
            self._alive_at = started
        if leads:
            self.lost.clear()
        else:
            if self.epoch is not None:
                LOG.warning('worker %s leads no longer', self.holder)
            self.epoch = None
            self.lost.set()
        return leads

    def raise_epoch(self, above):
        """The controller knows a greater epoch, as after a restored database: goes beyond it if we still lead."""
        if self.epoch is None:
            return False
        epoch = max(above, self.epoch) + 1
        if not _swap({'holder': self.holder, 'epoch': self.epoch}, {'epoch': epoch}):
            self.lost.set()
            return False
        LOG.warning('the epoch was raised from %d to %d: the controller was written to with %d', self.epoch, epoch,
                    above)
        self.epoch = epoch
        return True

    def release(self):
        """Leaves in order, so that nobody has to wait."""
        if self.epoch is not None:
            self.lost.set()
            try:
                _swap({'holder': self.holder, 'epoch': self.epoch}, {'holder': ''})
            except db_exc.DBError:
                LOG.debug('the lease could not be released: it will run out')
            self.epoch = None

    def _lead(self):
        return _swap({'holder': self.holder, 'epoch': self.epoch}, {'beat': models.Lease.beat + 1})

    def _follow(self):
        row = _read()
        if row is None:
            _create()
            row = _read()
        seen = (row.holder, row.epoch, row.beat)
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        # A lease that we lost sight of, as while the database was away, is still ours if nobody took it.
        taken = row.holder not in ('', self.holder)
        if taken and self._clock() - self._seen_at < self._seconds:
            return False
        new = {'holder': self.holder, 'epoch': row.epoch + 1, 'beat': row.beat + 1}
        if not _swap({'holder': row.holder, 'epoch': row.epoch, 'beat': row.beat}, new):
            return False
        self.epoch = row.epoch + 1
        LOG.info('worker %s leads now, epoch %d, after %s', self.holder, self.epoch, row.holder or 'nobody')
        return True


def _read():
    context = n_context.get_admin_context()
    with db_api.CONTEXT_READER.using(context):
        query = sa.select(models.Lease.holder, models.Lease.epoch, models.Lease.beat)
        return context.session.execute(query.where(models.Lease.name == NAME)).one_or_none()


def _create():
    context = n_context.get_admin_context()
    try:
        with db_api.CONTEXT_WRITER.using(context):
            context.session.execute(sa.insert(models.Lease).values(name=NAME, holder='', epoch=0, beat=0))
    except db_exc.DBDuplicateEntry:
        LOG.debug('another worker made the row of the lease')


def _swap(expected, new):
    """Changes the row if it is as expected; whether it was."""
    context = n_context.get_admin_context()
    with db_api.CONTEXT_WRITER.using(context):
        update = sa.update(models.Lease).where(models.Lease.name == NAME)
        for column, value in expected.items():
            update = update.where(getattr(models.Lease, column) == value)
        result = context.session.execute(update.values(**new).execution_options(synchronize_session=False))
        return result.rowcount == 1
