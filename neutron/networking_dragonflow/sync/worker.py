"""The worker: a process of neutron-periodic-workers. As many as wanted may run; one leads."""

import threading
import time

from neutron_lib import worker
from oslo_config import cfg
from oslo_db import exception as db_exc
from oslo_log import log

from networking_dragonflow import conf
from networking_dragonflow.sync import client as n_client
from networking_dragonflow.sync import lease as n_lease
from networking_dragonflow.sync import metrics as n_metrics
from networking_dragonflow.sync import pusher as n_pusher
from networking_dragonflow.sync import reconcile
from networking_dragonflow.sync import source as n_source
from networking_dragonflow.sync import status as n_status

LOG = log.getLogger(__name__)

FIRST_PAUSE = 0.1


class LeaseLost(Exception):
    """Another may lead: nothing is sent any more."""


class SyncWorker(worker.BaseWorker):
    """Runs three loops, each in its thread: the lease, changes to the controller, and its states back."""

    def __init__(self):
        super().__init__(worker_process_count=1, desc='dragonflow sync worker')
        self._stop = threading.Event()
        self._threads = []
        self._mirror = None

    def start(self):
        super().start(desc=self.desc)
        self._stop.clear()
        self._mirror = Mirror(self._stop)
        LOG.info('sync worker for %s', cfg.CONF[conf.GROUP].controller_url)
        for loop in (self._mirror.keep_lease, self._mirror.follow_journal, self._mirror.follow_states):
            thread = threading.Thread(target=loop, name=f'dragonflow-{loop.__name__}', daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self):
        self._stop.set()

    def wait(self):
        # A request under way may take long; the controller refuses what comes too late.
        for thread in self._threads:
            thread.join(timeout=5)
        self._threads = []

    def reset(self):
        """Options are read at start."""


class Mirror:
    """Keeps the controller like Neutron while it has the lease."""

    def __init__(self, stop):
        self._options = cfg.CONF[conf.GROUP]
        self._stop = stop
        self._metrics = n_metrics.Metrics()
        self._lease = n_lease.Lease(self._options.lease)
        self._source = n_source.Source()
        #: The controller that the states are of: another one than was written to must be written anew.
        self._instance = None
        self._status = None
        #: What fails now, and was said once.
        self._failing = set()
        if self._options.metrics_listen:
            self._metrics.serve(self._options.metrics_listen)

    def keep_lease(self):
        while not self._stop.is_set():
            self._try('the lease', self._lease.step)
            self._metrics.set('leads', int(not self._lease.lost.is_set()))
            self._metrics.set('epoch', self._lease.epoch or 0)
            self._stop.wait(self._lease.pause)
        self._lease.release()

    def follow_journal(self):
        self._while_leading('changes to the controller', self._new_journal_turn)

    def follow_states(self):
        self._while_leading('states of the controller', self._new_status_turn)

    def _while_leading(self, what, new_turn):
        """Repeats turns while we lead, with growing pauses while they fail."""
        pause = FIRST_PAUSE
        turn = epoch = None
        while not self._stop.is_set():
            if self._lease.lost.is_set():
                turn = None
                self._stop.wait(FIRST_PAUSE)
                continue
            if turn is None or epoch != self._lease.epoch:
                turn, epoch = new_turn(), self._lease.epoch
            if self._try(what, turn):
                pause = FIRST_PAUSE
            else:
                self._stop.wait(pause)
                pause = min(2 * pause, self._options.retry_max)

    def _try(self, what, action):
        """Whether it went well; nothing that goes wrong ends a loop."""
        try:
            action()
        except n_client.Fenced as fenced:
            LOG.warning('%s: %s', what, fenced)
            self._lease.raise_epoch(fenced.current)
        except n_client.Unreachable as error:
            self._metrics.set('controller_up', 0)
            self._note_failure(what, f'the controller does not answer: {error}')
        except LeaseLost:
            LOG.debug('%s: the lease was lost', what)
        except db_exc.DBError as error:
            self._note_failure(what, f'the database does not answer: {type(error).__name__}')
        except Exception:
            LOG.exception('%s failed', what)
            self._metrics.add('errors')
        else:
            if what in self._failing:
                LOG.info('%s: going on', what)
                self._failing.discard(what)
            return True
        return False

    def _note_failure(self, what, why):
        """Tells the first time, not with every attempt."""
        LOG.log(log.DEBUG if what in self._failing else log.WARNING, '%s: %s', what, why)
        self._failing.add(what)
        self._metrics.add('errors')

    def _epoch(self):
        epoch = self._lease.epoch
        if epoch is None or self._lease.lost.is_set():
            raise LeaseLost()
        return epoch

    def _new_journal_turn(self):
        client = n_client.Client()
        size = self._options.batch_size
        pusher = n_pusher.Pusher(client, self._source, self._metrics, size, self._epoch)
        due = None

        def turn():
            nonlocal due
            if self._instance not in (None, pusher.instance):
                pusher.instance, due = self._instance, None
            # First what changed, which is little; then a look at everything.
            if not pusher.is_behind and (due is None or time.monotonic() >= due):
                # Claims the controller for our epoch, and learns who it is.
                pusher.write([], [])
                difference, pusher.instance = reconcile.reconcile(client, self._source, size, pusher)
                self._instance = pusher.instance
                self._metrics.add('reconciliations')
                self._metrics.add('differences', len(difference.keys()))
                due = time.monotonic() + self._options.reconcile_interval
                return
            before = pusher.instance
            keys = pusher.drain()
            if pusher.instance != before:
                due = None
            if keys:
                self._tell_again(keys)
            elif due is not None:
                self._stop.wait(self._options.poll_interval)

        return turn

    def _tell_again(self, keys):
        status = self._status
        if status is not None:
            status.again(keys)

    def _new_status_turn(self):
        client = n_client.Client()
        status = n_status.Status(self._options.report_interval, self._metrics)
        self._status = status

        def turn():
            status.poll(client, max(1, self._options.report_interval // 2))
            self._metrics.set('controller_up', 1)
            self._instance = status.instance

        return turn
