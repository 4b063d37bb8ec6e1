"""What is written down, and when."""

from neutron_lib import constants
from neutron_lib import context as n_context
from neutron_lib.db import api as db_api
from neutron.db.models import l3
from neutron.db import models_v2
from neutron.tests.unit import testlib_api

from networking_dragonflow.db import models  # noqa: F401 - the fixture makes tables of what is imported
from networking_dragonflow import journal
from networking_dragonflow.sync import pusher


class Rollback(Exception):
    pass


class JournalTest(testlib_api.SqlTestCase):

    def setUp(self):
        super().setUp()
        journal.install()
        self.context = n_context.get_admin_context()

    def rows(self):
        found = [(kind, object_id) for _seq, kind, object_id in pusher.read_rows(1000)]
        pusher.delete_rows(pusher.read_numbers())
        return sorted(found)

    def network(self):
        with db_api.CONTEXT_WRITER.using(self.context):
            self.context.session.add(models_v2.Network(id='n', name='one', admin_state_up=True, mtu=1500))

    def test_a_change_is_written_once(self):
        self.network()
        self.assertEqual(self.rows(), [('network', 'n')])
        with db_api.CONTEXT_WRITER.using(self.context):
            net = self.context.session.get(models_v2.Network, 'n')
            net.mtu = 1400
            self.context.session.flush()
            net.mtu = 1300
        self.assertEqual(self.rows(), [('network', 'n')])

    def test_what_the_controller_is_not_told_is_not_written(self):
        self.network()
        self.rows()
        with db_api.CONTEXT_WRITER.using(self.context):
            self.context.session.get(models_v2.Network, 'n').name = 'two'
        self.assertEqual(self.rows(), [])

    def test_nothing_is_left_of_a_transaction_that_failed(self):
        try:
            with db_api.CONTEXT_WRITER.using(self.context):
                self.context.session.add(models_v2.Network(id='n', name='one', admin_state_up=True, mtu=1500))
                self.context.session.flush()
                raise Rollback()
        except Rollback:
            pass
        self.assertEqual(self.rows(), [])

    def test_a_change_after_a_savepoint_that_failed_is_written_again(self):
        self.network()
        self.rows()
        with db_api.CONTEXT_WRITER.using(self.context):
            session = self.context.session
            try:
                with session.begin_nested():
                    session.get(models_v2.Network, 'n').mtu = 1400
                    session.flush()
                    raise Rollback()
            except Rollback:
                pass
            session.get(models_v2.Network, 'n').mtu = 1300
        self.assertEqual(self.rows(), [('network', 'n')])

    def port(self, **columns):
        with db_api.CONTEXT_WRITER.using(self.context):
            self.context.session.add(models_v2.Port(
                id='p', network_id='n', mac_address='fa:16:3e:00:00:01', admin_state_up=True, status='DOWN',
                **{'device_id': '', 'device_owner': '', **columns}))

    def test_a_port_of_a_router_is_a_change_of_the_router(self):
        self.network()
        with db_api.CONTEXT_WRITER.using(self.context):
            self.context.session.add(l3.Router(id='r', name='', status='ACTIVE', admin_state_up=True))
        self.rows()
        self.port(device_id='r', device_owner=constants.DEVICE_OWNER_ROUTER_INTF)
        self.assertEqual(self.rows(), [('port', 'p'), ('router', 'r')])
        # Also when it is no longer one.
        with db_api.CONTEXT_WRITER.using(self.context):
            port = self.context.session.get(models_v2.Port, 'p')
            port.device_id, port.device_owner = '', ''
        self.assertEqual(self.rows(), [('port', 'p'), ('router', 'r')])

    def test_status_alone_is_no_change(self):
        self.network()
        self.port()
        self.rows()
        with db_api.CONTEXT_WRITER.using(self.context):
            self.context.session.get(models_v2.Port, 'p').status = 'ACTIVE'
        self.assertEqual(self.rows(), [])
