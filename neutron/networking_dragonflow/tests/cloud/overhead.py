"""How long API calls take with our driver, and with the in-tree driver `logger` instead: in turns, in one run.

    python -m networking_dragonflow.tests.cloud.overhead DIRECTORY [ROUNDS [CACHE]]

There is no controller: the journal is written all the same. Prints, as JSON, the seconds of every call with either.
"""

import json
import pathlib
import sys
import time

import requests

from networking_dragonflow.tests.cloud import processes

#: Mechanism driver, and the service plugin that goes with it.
SERVICES = {'logger': '', 'dragonflow': 'dragonflow_router'}


class Peer:
    """A Neutron with one mechanism driver."""

    def __init__(self, directory, driver, cache):
        self.directory = pathlib.Path(directory) / driver
        self.directory.mkdir(parents=True)
        self.database = processes.MariaDb(self.directory, cache)
        self.database.start()
        self.neutron = processes.Neutron(self.directory, self.database.url, 'http://127.0.0.1:1', 1)
        self.neutron.configure(driver, SERVICES[driver])
        self.neutron.start_api()
        self.times = {}
        network = self.call('POST', 'networks', {'network': {'name': 'n'}})['network']
        subnet = {'network_id': network['id'], 'ip_version': 4, 'cidr': '10.0.0.0/16'}
        self.call('POST', 'subnets', {'subnet': subnet})
        self.network = network['id']
        self.times.clear()

    def call(self, method, path, body=None, name=None):
        start = time.perf_counter()
        answer = requests.request(method, self.neutron.url + 'v2.0/' + path, json=body, timeout=60)
        self.times.setdefault(name or f'{method} {path}', []).append(time.perf_counter() - start)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def round(self):
        port = self.call('POST', 'ports', {'port': {'network_id': self.network}}, 'create port')['port']['id']
        self.call('PUT', f'ports/{port}', {'port': {'name': 'x'}}, 'rename port')
        pairs = [{'ip_address': '10.0.9.9'}]
        self.call('PUT', f'ports/{port}', {'port': {'allowed_address_pairs': pairs}}, 'set address pairs')
        self.call('DELETE', f'ports/{port}', None, 'delete port')
        network = self.call('POST', 'networks', {'network': {'name': 'm'}}, 'create network')['network']['id']
        self.call('DELETE', f'networks/{network}', None, 'delete network')

    def close(self):
        self.neutron.kill()
        self.database.kill()


def main():
    directory = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    cache = sys.argv[3] if len(sys.argv) > 3 else None
    peers = []
    try:
        peers = [Peer(directory, driver, cache) for driver in SERVICES]
        for _warm in range(10):
            for peer in peers:
                peer.round()
        for peer in peers:
            peer.times.clear()
        for number in range(rounds):
            # Who begins changes, so that neither always runs after the other.
            for peer in peers if number % 2 else reversed(peers):
                peer.round()
        print(json.dumps({name: [peer.times[name] for peer in peers] for name in peers[0].times}))
    finally:
        for peer in peers:
            peer.close()


if __name__ == '__main__':
    main()
