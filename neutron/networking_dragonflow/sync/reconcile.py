"""Everything in Neutron against everything in the controller, by hashes."""

import dataclasses

from oslo_log import log

from networking_dragonflow.sync import pusher as n_pusher
from networking_dragonflow.sync import source as n_source
from networking_dragonflow import translate

LOG = log.getLogger(__name__)


@dataclasses.dataclass
class Difference:
    """What is otherwise in the controller, as pairs of kind and id."""

    objects: int = 0
    missing: list = dataclasses.field(default_factory=list)
    changed: list = dataclasses.field(default_factory=list)
    surplus: list = dataclasses.field(default_factory=list)

    def __bool__(self):
        return bool(self.missing or self.changed or self.surplus)

    def keys(self):
        return self.missing + self.changed + self.surplus

    def __str__(self):
        return (f'{self.objects} objects in Neutron; in the controller {len(self.missing)} are missing, '
                f'{len(self.changed)} are otherwise and {len(self.surplus)} are too many')


def compare(client, source, batch_size, write=None):
    """Compares page by page. `write` is called with what to put (kind, spec) and what to delete (kind, id).

    The controller is asked first: whatever Neutron says later is newer, and nobody but the leader writes there.
    """
    theirs = client.digest(n_source.PLURALS.values())
    difference = Difference()
    for kind, plural in n_source.PLURALS.items():
        known = theirs['kinds'][plural]
        ours = set()
        for ids in n_pusher.chunks(source.ids(kind), batch_size):
            specs = source.specs(kind, ids)
            ours.update(specs)
            put = []
            for object_id, spec in specs.items():
                if object_id not in known:
                    difference.missing.append((kind, object_id))
                elif known[object_id] != translate.digest(spec):
                    difference.changed.append((kind, object_id))
                else:
                    continue
                put.append((kind, spec))
            if write and put:
                write(put, [])
        difference.objects += len(ours)
        surplus = [(kind, object_id) for object_id in known if object_id not in ours]
        difference.surplus += surplus
        for some in n_pusher.chunks(surplus, batch_size) if write else ():
            write([], some)
    return difference, theirs['instance']


def reconcile(client, source, batch_size, pusher):
    """Makes the controller like Neutron; the difference that there was, and with which controller."""
    # Bodies are read after these rows, so they hold what the rows tell of.
    numbers = n_pusher.read_numbers()
    # A put may need the place that a surplus object holds: what is refused now is tried again at the end.
    difference, instance = compare(client, source, batch_size, pusher.write)
    if pusher.refused:
        pusher.push(set(pusher.refused))
    n_pusher.delete_rows(numbers)
    log_as = LOG.info if difference else LOG.debug
    log_as('reconciled: %s', difference)
    return difference, instance
