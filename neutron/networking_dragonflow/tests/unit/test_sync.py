"""The election and the pusher, on a database in memory and a controller that answers from a dict."""

from unittest import mock

from neutron_lib import context as n_context
from neutron_lib.db import api as db_api
from neutron.tests.unit import testlib_api
from oslo_db import exception as db_exc

from networking_dragonflow.db import models  # noqa: F401 - the fixture makes tables of what is imported
from networking_dragonflow import journal
from networking_dragonflow.sync import client as n_client
from networking_dragonflow.sync import lease as n_lease
from networking_dragonflow.sync import metrics as n_metrics
from networking_dragonflow.sync import pusher as n_pusher
from networking_dragonflow.sync import reconcile
from networking_dragonflow.sync import source as n_source
from networking_dragonflow import translate


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class LeaseTest(testlib_api.SqlTestCase):

    def setUp(self):
        super().setUp()
        self.clock = Clock()

    def lease(self):
        lease = n_lease.Lease(6, self.clock)
        lease.step()
        return lease

    def test_one_leads_and_another_follows_it(self):
        one = self.lease()
        self.assertTrue(one.step())
        self.assertEqual(one.epoch, 1)
        two = self.lease()
        for _beat in range(10):
            self.clock.now += 2
            self.assertTrue(one.step())
            self.assertFalse(two.step())
        self.assertTrue(two.lost.is_set())
        # Dead, but not yet for long enough.
        self.clock.now += 5
        self.assertFalse(two.step())
        self.clock.now += 1
        self.assertTrue(two.step())
        self.assertEqual(two.epoch, 2)
        # Should the first come back, it leads no longer.
        self.assertFalse(one.step())
        self.assertTrue(one.lost.is_set())
        self.assertFalse(one.raise_epoch(7))

    def test_who_leaves_in_order_is_followed_at_once(self):
        one = self.lease()
        self.assertTrue(one.step())
        two = self.lease()
        self.assertFalse(two.step())
        one.release()
        self.assertTrue(two.step())

    def test_a_leader_without_a_database_stops_and_comes_back_at_once(self):
        one = self.lease()
        one.step()
        with mock.patch.object(n_lease, '_swap', side_effect=db_exc.DBConnectionError()):
            self.clock.now += 5
            self.assertTrue(one.step())
            self.clock.now += 2
            self.assertFalse(one.step())
            self.assertTrue(one.lost.is_set())
        self.assertTrue(one.step())
        self.assertEqual(one.epoch, 2)

    def test_a_leader_goes_beyond_what_the_controller_knows(self):
        one = self.lease()
        one.step()
        self.assertTrue(one.raise_epoch(41))
        self.assertEqual(one.epoch, 42)
        self.assertTrue(one.step())


class FakeController:
    """The part of the controller that a pusher sees: what it holds, and what it refuses."""

    def __init__(self):
        self.objects = {}
        self.refuses = {}
        self.fails = False

    def batch(self, epoch, put, delete):
        if self.fails:
            raise n_client.Unreachable('as asked')
        refused = []
        for kind, spec in put:
            key = (kind, spec['id'])
            if key in self.refuses:
                refused.append({'kind': kind, 'id': spec['id'], 'error': self.refuses[key]})
            else:
                self.objects[key] = spec
        for key in delete:
            self.objects.pop(key, None)
        return {'instance': 'i', 'revision': 1, 'created': 1, 'changed': 0, 'deleted': 0, 'refused': refused}

    def digest(self, kinds):
        found = {plural: {} for plural in kinds}
        for (kind, object_id), spec in self.objects.items():
            found[n_source.PLURALS[kind]][object_id] = translate.digest(spec)
        return {'instance': 'i', 'kinds': found}


class FakeSource:
    """Neutron as a dict."""

    def __init__(self):
        self.objects = {}

    def ids(self, kind):
        return sorted(object_id for found, object_id in self.objects if found == kind)

    def specs(self, kind, ids):
        return {i: self.objects[kind, i] for i in ids if (kind, i) in self.objects}

    def routers_of(self, ports):
        return set()


class PusherTest(testlib_api.SqlTestCase):

    def setUp(self):
        super().setUp()
        self.controller, self.source = FakeController(), FakeSource()
        self.pusher = n_pusher.Pusher(self.controller, self.source, n_metrics.Metrics(), 3, lambda: 1)

    def change(self, *ids):
        context = n_context.get_admin_context()
        with db_api.CONTEXT_WRITER.using(context):
            journal.record(context.session, {('router', object_id) for object_id in ids})
        for object_id in ids:
            self.source.objects['router', object_id] = {'id': object_id}

    def test_changes_arrive_in_batches_and_rows_go(self):
        self.change(*'abcdefg')
        counts = [len(self.pusher.drain()) for _turn in range(4)]
        self.assertEqual(counts, [3, 3, 1, 0])
        self.assertEqual(len(self.controller.objects), 7)
        self.assertEqual(n_pusher.read_numbers(), [])

    def test_what_is_gone_is_deleted(self):
        self.change('a')
        self.pusher.drain()
        self.change('a')
        del self.source.objects['router', 'a']
        self.pusher.drain()
        self.assertEqual(self.controller.objects, {})

    def test_rows_stay_until_the_controller_has_them(self):
        self.change('a')
        self.controller.fails = True
        self.assertRaises(n_client.Unreachable, self.pusher.drain)
        self.assertEqual(len(n_pusher.read_numbers()), 1)
        self.controller.fails = False
        self.pusher.drain()
        self.assertIn(('router', 'a'), self.controller.objects)

    def test_exactly_the_rows_that_were_read_go(self):
        self.change('a')
        numbers = n_pusher.read_numbers()
        with mock.patch.object(self.pusher, '_send', side_effect=lambda keys: self.change('b')):
            self.pusher.drain()
        self.assertEqual(len(n_pusher.read_numbers()), 1)
        self.assertNotIn(numbers[0], n_pusher.read_numbers())

    def test_what_is_refused_is_tried_again(self):
        self.change('a', 'b')
        self.controller.refuses['router', 'a'] = 'no'
        self.pusher.drain()
        self.assertEqual(self.pusher.refused, {('router', 'a'): 'no'})
        self.assertIn(('router', 'b'), self.controller.objects)
        self.controller.refuses.clear()
        self.change('c')
        self.pusher.drain()
        self.assertEqual(self.pusher.refused, {})
        self.assertIn(('router', 'a'), self.controller.objects)

    def test_reconcile_makes_both_equal(self):
        self.change(*'abcd')
        self.controller.objects = {
            ('router', 'a'): {'id': 'a'}, ('router', 'b'): {'id': 'b', 'interfaces': []}, ('router', 'z'): {'id': 'z'}}
        difference, _instance = reconcile.reconcile(self.controller, self.source, 2, self.pusher)
        self.assertEqual((len(difference.missing), len(difference.changed), len(difference.surplus)), (2, 1, 1))
        self.assertEqual(set(self.controller.objects), {('router', i) for i in 'abcd'})
        self.assertEqual(n_pusher.read_numbers(), [])
        self.assertFalse(reconcile.compare(self.controller, self.source, 2)[0])
