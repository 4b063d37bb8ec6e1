"""dragonflow-neutron-sync: is everything in Neutron in the controller?"""

import sys
import time

from neutron.common import config as common_config
from neutron_lib import context as n_context
from neutron_lib.db import api as db_api
from oslo_config import cfg

from neutron import manager

from networking_dragonflow import conf
from networking_dragonflow import journal
from networking_dragonflow.sync import client as n_client
from networking_dragonflow.sync import pusher as n_pusher
from networking_dragonflow.sync import reconcile
from networking_dragonflow.sync import source as n_source

CLI_OPTS = [
    cfg.BoolOpt('check', default=False,
                help='Say what is otherwise in the controller; ends with 1 if something is. The default.'),
    cfg.BoolOpt('repair', default=False,
                help='Also have the worker send what is otherwise, and wait until all is equal; ends with 1 if it does '
                     'not come to that.'),
    cfg.IntOpt('wait', default=30, min=0, help='Seconds to wait for a repair.'),
]
#: Most objects that are named.
SHOWN = 20


def main():
    cfg.CONF.register_cli_opts(CLI_OPTS)
    conf.register()
    common_config.register_common_config_options()
    common_config.init(sys.argv[1:])
    common_config.setup_logging()
    common_config.set_config_defaults()
    manager.init()
    try:
        sys.exit(_repair() if cfg.CONF.repair else _check())
    except n_client.Unreachable as error:
        sys.exit(f'the controller does not answer: {error}')


def _compare():
    size = cfg.CONF[conf.GROUP].batch_size
    return reconcile.compare(n_client.Client(), n_source.Source(), size)[0]


def _check():
    difference = _compare()
    _show(difference)
    return 1 if difference else 0


def _repair():
    """Changes are not sent from here: the worker that leads is the only writer."""
    difference = _compare()
    _show(difference)
    if not difference:
        return 0
    context = n_context.get_admin_context()
    with db_api.CONTEXT_WRITER.using(context):
        journal.record(context.session, set(difference.keys()))
    end = time.monotonic() + cfg.CONF.wait
    while time.monotonic() < end:
        time.sleep(0.5)
        if not n_pusher.read_numbers():
            difference = _compare()
            if not difference:
                print('repaired')
                return 0
    print('not repaired: does a worker (neutron-periodic-workers) run? Its log names what the controller refuses.')
    _show(difference)
    return 1


def _show(difference):
    print(difference)
    named = [('missing', difference.missing), ('otherwise', difference.changed), ('too many', difference.surplus)]
    for what, keys in named:
        for kind, object_id in keys[:SHOWN]:
            print(f'  {what}: {kind} {object_id}')
        if len(keys) > SHOWN:
            print(f'  {what}: and {len(keys) - SHOWN} more')


if __name__ == '__main__':
    main()
