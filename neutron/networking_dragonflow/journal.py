"""The journal: which objects changed, written in the transaction that changes them.

A listener sees every row that SQLAlchemy is about to write and names the object it belongs to. Callbacks would not do:
several changes (router interfaces, gateways) have none inside their transaction. Nothing here talks to the network.
"""

import functools
import weakref

from neutron_lib import constants
from neutron_lib.db import api as db_api
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm

from networking_dragonflow.db import models

NETWORK = 'network'
SUBNET = 'subnet'
PORT = 'port'
ROUTER = 'router'
FLOATING_IP = 'floating_ip'
SECURITY_GROUP = 'security_group'
ADDRESS_GROUP = 'address_group'

#: Table -> the kind of object that its rows are part of, and the column that names it.
ROOTS = {
    'networks': (NETWORK, 'id'),
    'networksegments': (NETWORK, 'network_id'),
    'subnets': (SUBNET, 'id'),
    'dnsnameservers': (SUBNET, 'subnet_id'),
    'subnetroutes': (SUBNET, 'subnet_id'),
    'ports': (PORT, 'id'),
    'ipallocations': (PORT, 'port_id'),
    'ml2_port_bindings': (PORT, 'port_id'),
    'allowedaddresspairs': (PORT, 'port_id'),
    'portsecuritybindings': (PORT, 'port_id'),
    'securitygroupportbindings': (PORT, 'port_id'),
    'extradhcpopts': (PORT, 'port_id'),
    'routers': (ROUTER, 'id'),
    'routerports': (ROUTER, 'router_id'),
    'routerroutes': (ROUTER, 'router_id'),
    'floatingips': (FLOATING_IP, 'id'),
    'securitygroups': (SECURITY_GROUP, 'id'),
    'securitygrouprules': (SECURITY_GROUP, 'security_group_id'),
    'address_groups': (ADDRESS_GROUP, 'id'),
    'address_associations': (ADDRESS_GROUP, 'address_group_id'),
}

#: Columns that the controller is not told of.
UNTOLD = frozenset(('status', 'name', 'last_known_router_id'))

#: Ports that are part of a router.
ROUTER_OWNERS = frozenset(constants.ROUTER_INTERFACE_OWNERS) | {constants.DEVICE_OWNER_ROUTER_GW}

#: What each transaction wrote down already; it is forgotten with the transaction, also if that is rolled back.
_written = weakref.WeakKeyDictionary()


def install():
    """Starts listening; again is no harm."""
    if not event.contains(orm.Session, 'before_flush', _before_flush):
        db_api.sqla_listen(orm.Session, 'before_flush', _before_flush)


def record(session, keys):
    """Writes down that objects changed: pairs of kind and id."""
    rows = [{'kind': kind, 'object_id': object_id} for kind, object_id in sorted(keys)]
    if rows:
        session.connection().execute(sa.insert(models.JournalRow.__table__), rows)


def _before_flush(session, _context, _instances):
    keys = set()
    for row in session.dirty:
        if getattr(row, '__tablename__', None) in ROOTS:
            keys.update(_changed_roots(row))
    for row in [*session.new, *session.deleted]:
        if getattr(row, '__tablename__', None) in ROOTS:
            keys.update(_roots(row, functools.partial(getattr, row)))
    keys = _not_yet_written(session, keys)
    record(session, keys)


def _roots(row, column_of):
    """The objects that a row is part of; `column_of` gives the value of a column."""
    kind, column = ROOTS[row.__tablename__]
    object_id = column_of(column)
    if object_id:
        yield kind, object_id
    if row.__tablename__ == 'ports' and column_of('device_owner') in ROUTER_OWNERS and column_of('device_id'):
        yield ROUTER, column_of('device_id')


def _changed_roots(row):
    """The same for a changed row: as it was and as it is, unless only what nobody is told of has changed."""
    state = sa.inspect(row)
    histories = {attr.key: state.attrs[attr.key].history for attr in state.mapper.column_attrs}
    if not any(history.has_changes() for key, history in histories.items() if key not in UNTOLD):
        return
    now = functools.partial(getattr, row)

    def before(column):
        deleted = histories[column].deleted
        return deleted[0] if deleted else now(column)

    yield from _roots(row, now)
    yield from _roots(row, before)


def _not_yet_written(session, keys):
    """Leaves out what the transaction, or one around it, wrote down before: rows are only seen once it is committed."""
    transaction = session.get_nested_transaction() or session.get_transaction()
    if transaction is None:
        return keys
    around = transaction
    while around is not None and keys:
        keys = keys - _written.get(around, frozenset())
        around = around.parent
    _written.setdefault(transaction, set()).update(keys)
    return keys
