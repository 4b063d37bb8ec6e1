"""From the journal to the controller."""

import itertools

from neutron_lib import context as n_context
from neutron_lib.db import api as db_api
from oslo_log import log
import sqlalchemy as sa

from networking_dragonflow.db import models
from networking_dragonflow import journal
from networking_dragonflow.sync import source as n_source

LOG = log.getLogger(__name__)


class Pusher:
    """Sends what is so now of whatever the journal names. Sending again what was sent is no harm."""

    def __init__(self, client, source, metrics, batch_size, epoch):
        self._client = client
        self._source = source
        self._metrics = metrics
        self._batch_size = batch_size
        #: Gives the epoch to write with.
        self._epoch = epoch
        #: What the controller did not take, and why; tried again with whatever changes next.
        self.refused = {}
        #: The controller that was written to last.
        self.instance = None
        #: Whether the journal may hold more than the next call of `drain` sends.
        self.is_behind = True

    def drain(self):
        """Sends the next changes; the keys of what was looked at, empty if there was nothing."""
        self.is_behind = True
        rows = read_rows(self._batch_size)
        if not rows:
            self.is_behind = False
            return set()
        keys = {(kind, object_id) for _seq, kind, object_id in rows}
        keys |= self.push(keys | set(self.refused))
        # Exactly those rows: one with a smaller number may be committed only now.
        delete_rows([seq for seq, _kind, _object_id in rows])
        self._metrics.add('journal_rows', len(rows))
        self.is_behind = len(rows) == self._batch_size
        return keys

    def push(self, keys):
        """Sends objects by kind and id; what there is no longer is deleted. Returns what was sent."""
        keys = set(keys)
        ports = [object_id for kind, object_id in keys if kind == journal.PORT]
        for some in chunks(ports, self._batch_size):
            keys |= {(journal.ROUTER, router) for router in self._source.routers_of(some)}
        for some in chunks(_in_order(keys), self._batch_size):
            self._send(some)
        return keys

    def _send(self, keys):
        put, delete = [], []
        for kind, group in itertools.groupby(keys, key=lambda key: key[0]):
            ids = [object_id for _kind, object_id in group]
            specs = self._source.specs(kind, ids)
            put += [(kind, specs[object_id]) for object_id in ids if object_id in specs]
            delete += [(kind, object_id) for object_id in ids if object_id not in specs]
        self.write(put, delete)

    def write(self, put, delete):
        """One batch to the controller."""
        answer = self._client.batch(self._epoch(), put, delete)
        self.instance = answer['instance']
        self._metrics.add('objects_put', len(put))
        self._metrics.add('objects_deleted', len(delete))
        refused = {(item['kind'], item['id']): item['error'] for item in answer['refused']}
        for key, error in refused.items():
            if self.refused.get(key) != error:
                LOG.error('the controller refused %s %s, which stays as it was there: %s', *key, error)
        for key in [(kind, spec['id']) for kind, spec in put] + delete:
            if self.refused.pop(key, None) and key not in refused:
                LOG.info('the controller took %s %s now', *key)
        self.refused.update(refused)
        self._metrics.set('refused', len(self.refused))
        if answer['created'] or answer['changed'] or answer['deleted']:
            LOG.debug('revision %(revision)d: %(created)d created, %(changed)d changed, %(deleted)d deleted', answer)


def _in_order(keys):
    order = {kind: place for place, kind in enumerate(n_source.TABLES)}
    return sorted(keys, key=lambda key: (order[key[0]], key[1]))


def chunks(items, size):
    items = list(items)
    return (items[start:start + size] for start in range(0, len(items), size))


@db_api.retry_db_errors
def read_rows(limit):
    """The first rows of the journal: number, kind and id."""
    context = n_context.get_admin_context()
    row = models.JournalRow
    with db_api.CONTEXT_READER.using(context):
        query = sa.select(row.seq, row.kind, row.object_id).order_by(row.seq).limit(limit)
        return [tuple(found) for found in context.session.execute(query)]


@db_api.retry_db_errors
def read_numbers():
    """The numbers of all rows of the journal."""
    context = n_context.get_admin_context()
    with db_api.CONTEXT_READER.using(context):
        return list(context.session.execute(sa.select(models.JournalRow.seq)).scalars())


def delete_rows(numbers):
    for some in chunks(numbers, 1000):
        _delete_rows(some)


@db_api.retry_db_errors
def _delete_rows(numbers):
    """A statement for each: for a list or a range InnoDB may look at every row, and then waits, with locks, for API calls
    that have not committed theirs."""
    table = models.JournalRow.__table__
    context = n_context.get_admin_context()
    with db_api.CONTEXT_WRITER.using(context):
        context.session.connection().execute(
            sa.delete(table).where(table.c.seq == sa.bindparam('number')), [{'number': number} for number in numbers])
