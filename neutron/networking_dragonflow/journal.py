"""The journal: which objects changed, written in the transaction that changes them.

A listener sees every row that SQLAlchemy is about to write and names the object it belongs to. Callbacks would not do:
several changes (router interfaces, gateways) have none inside their transaction. Nothing here talks to the network.
"""

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
            keys.update(_roots(row, row))
    keys = _not_yet_written(session, keys)
    record(session, keys)


def _roots(row, values):
    """The objects that a row is part of; `values` has its columns as attributes."""
    kind, column = ROOTS[row.__tablename__]
    object_id = getattr(values, column, None)
    if object_id:
        yield kind, object_id
    if kind == PORT and row.__tablename__ == 'ports':
        if values.device_owner in ROUTER_OWNERS and values.device_id:
            yield ROUTER, values.device_id


def _changed_roots(row):
    """The same for a changed row: as it was and as it is, unless only what nobody is told of has changed."""
    state = sa.inspect(row)
    before = _Before()
    changed = False
    for attr in state.mapper.column_attrs:
        history = state.attrs[attr.key].history
        if history.has_changes():
            changed = changed or attr.key not in UNTOLD
        old = history.deleted or history.unchanged
        setattr(before, attr.key, old[0] if old else getattr(row, attr.key, None))
    if changed:
        yield from _roots(row, row)
        yield from _roots(row, before)


class _Before:
    """The columns of a row as they were."""


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
