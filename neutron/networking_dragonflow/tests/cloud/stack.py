"""A whole Neutron behind a pipe: a line of JSON in is a command, a line of JSON out is its answer.

The system tests in Rust have the switches and the VMs; by this they have a Neutron, driven by openstacksdk:

    python -m networking_dragonflow.tests.cloud.stack DIRECTORY CONTROLLER_URL [CACHE [OPTIONS]]
    {"do": "start_api"}
    {"do": "sdk", "call": "create_network", "args": {"name": "web"}}
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings

import openstack
from openstack import resource
import pymysql
import requests

from networking_dragonflow.tests.cloud import processes


class Stack:
    """What the commands act on: each public method is one."""

    def __init__(self, directory, controller_url, cache=None, options=''):
        self._controller_url = controller_url
        self._database = processes.MariaDb(directory, cache)
        self._database.start()
        self._neutron = processes.Neutron(directory, self._database.url, controller_url, options=options)
        self._sdk = None
        self._open = None

    def start_api(self):
        self._neutron.start_api()
        self._sdk = openstack.connect(auth_type='none', network_endpoint_override=self._neutron.url,
                                      load_yaml_config=False, load_envvars=False)

    def start_worker(self, name):
        self._neutron.start_worker(name)

    def configure(self, drivers, services):
        self._neutron.configure(drivers, services)

    def add_ovs_agent(self, host):
        """The row of an agent of ML2/OVS, as it reports itself."""
        configurations = json.dumps({'tunnel_types': ['vxlan'], 'bridge_mappings': {}, 'datapath_type': 'netdev'})
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                'INSERT INTO agents (id, agent_type, `binary`, topic, host, admin_state_up, created_at, started_at,'
                " heartbeat_timestamp, configurations) VALUES (UUID(), 'Open vSwitch agent', 'neutron-openvswitch-agent',"
                " 'N/A', %s, 1, UTC_TIMESTAMP(), UTC_TIMESTAMP(), UTC_TIMESTAMP(), %s)", (host, configurations))
            connection.commit()

    def kill_api(self):
        self._neutron.kill_api()

    def kill_worker(self, name):
        self._neutron.kill_worker(name)

    def kill_api_while_busy(self):
        """Kills while requests are under way; what became of them, nobody knows."""
        url = self._neutron.url + 'v2.0/networks'
        busy = [threading.Thread(target=_post, args=(url, {'network': {'name': f'busy-{number}'}}))
                for number in range(8)]
        for thread in busy:
            thread.start()
        time.sleep(0.1)
        self._neutron.kill_api()
        for thread in busy:
            thread.join()

    def signal(self, pid, name):
        os.kill(pid, signal.Signals[name])

    def standby(self):
        """Whether every worker has said who it is: only then one of them can follow the leader."""
        return all(group.has_written('sync worker') for group in self._neutron.workers.values())

    def kill_database(self):
        self._database.kill()

    def start_database(self):
        self._database.start()

    def sync(self, args):
        return self._neutron.sync(*args)

    def controller_status(self, token):
        """What the controller answers to who shows this token: the status of HTTP."""
        headers = {'Authorization': f'Bearer {token}'} if token else {}
        # Who it is, is no question here.
        warnings.simplefilter('ignore')
        return requests.get(self._controller_url + '/v1/hello', headers=headers, verify=False, timeout=30).status_code

    def leader(self):
        """The process that leads, and its epoch; null without one."""
        row = self._query('SELECT holder, epoch FROM dragonflow_lease')
        holder, epoch = row[0] if row else ('', 0)
        return {'pid': int(holder.split(':')[1]), 'epoch': epoch} if holder else None

    def journal(self):
        """How many changes wait."""
        return self._query('SELECT COUNT(*) FROM dragonflow_journal')[0][0]

    def begin_row(self):
        """A row of the journal in a transaction that stays open until `end_row`, as that of an API call that takes long."""
        self._open = self._connect()
        with self._open.cursor() as cursor:
            cursor.execute("INSERT INTO dragonflow_journal (kind, object_id) VALUES ('network', 'none')")

    def end_row(self):
        self._open.commit()
        self._open.close()

    def sdk(self, call, args):
        answer = getattr(self._sdk.network, call)(**args)
        if isinstance(answer, resource.Resource):
            return answer.to_dict()
        if answer is None or isinstance(answer, (dict, str, int, bool)):
            return answer
        return [item.to_dict() if isinstance(item, resource.Resource) else item for item in answer]

    def post(self, path, body):
        """What openstacksdk has no method for, as many objects at once."""
        answer = self._sdk.network.post(path, json=body)
        if answer.status_code >= 300:
            raise RuntimeError(f'{path}: {answer.status_code} {answer.text[:500]}')
        return answer.json()

    def post_all(self, path, bodies):
        """`post` for each body, one after the other."""
        for body in bodies:
            self.post(path, body)

    def close(self):
        self._neutron.kill()
        self._database.kill()

    def _query(self, sql):
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def _connect(self):
        return pymysql.connect(host='127.0.0.1', port=self._database.port, user='root', database='neutron')


def _post(url, body):
    try:
        requests.post(url, json=body, timeout=30)
    except requests.RequestException:
        """The API was killed."""


def main():
    stack = Stack(*sys.argv[1:])
    try:
        print(json.dumps({'ok': 'ready'}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            try:
                answer = {'ok': getattr(stack, command.pop('do'))(**command)}
            except Exception:
                answer = {'error': traceback.format_exc()}
            print(json.dumps(answer, default=str), flush=True)
    finally:
        stack.close()


if __name__ == '__main__':
    main()
