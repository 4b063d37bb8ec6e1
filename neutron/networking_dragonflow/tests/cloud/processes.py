"""The processes of a Neutron: MariaDB, API, workers. All of them are private: own directory, own ports on loopback."""

import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import networking_dragonflow

BIN = pathlib.Path(sys.executable).parent
PACKAGE = pathlib.Path(networking_dragonflow.__file__).parent
PATIENCE = 120
#: Titles of processes must not overwrite the environment: by a mark in it a lab knows what to kill.
KEEP_MARK = {'SPT_NOENV': '1'}


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_for(what, reached, patience=PATIENCE):
    """Asks until the answer is true; returns it."""
    start = time.monotonic()
    while True:
        answer = reached()
        if answer:
            return answer
        if time.monotonic() - start > patience:
            raise TimeoutError(f'no {what} within {patience} s')
        time.sleep(0.02)


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(('127.0.0.1', port)) == 0


class Group:
    """A process with its children, in a process group of its own. Its output goes to a file."""

    def __init__(self, command, log, env=None):
        self.log = log
        with open(log, 'ab') as out:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **KEEP_MARK, **(env or {})}, start_new_session=True)

    def kill(self):
        """SIGKILL to all of them."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def has_written(self, text):
        return text in pathlib.Path(self.log).read_text(errors='replace')

    def check(self):
        if self.process.poll() is not None:
            tail = pathlib.Path(self.log).read_text(errors='replace')[-3000:]
            raise RuntimeError(f'{self.process.args[0]} ended with {self.process.returncode}:\n{tail}')


class MariaDb:
    """A database server with Neutron's schema, ours included, made by neutron-db-manage."""

    def __init__(self, directory, cache):
        self.directory = pathlib.Path(directory)
        self.data = self.directory / 'mariadb'
        self.port = free_port()
        self.group = None
        if cache is None:
            self._make(self.directory / 'neutron')
        else:
            self._copy(pathlib.Path(cache))

    @property
    def url(self):
        return f'mysql+pymysql://root@127.0.0.1:{self.port}/neutron?charset=utf8mb3'

    def start(self):
        # Power is not cut here: what a killed server wrote is in the page cache.
        options = [
            '--no-defaults', f'--datadir={self.data}', f'--port={self.port}', '--bind-address=127.0.0.1',
            f'--socket={self.data}/s', f'--pid-file={self.data}/pid', '--user=root', '--skip-log-bin',
            '--innodb-flush-log-at-trx-commit=2', '--innodb-buffer-pool-size=64M', '--max-connections=500',
            '--performance-schema=OFF', '--skip-name-resolve']
        self.group = Group([_server(), *options], self.directory / 'mariadb.log')
        wait_for('answer of MariaDB', lambda: self.group.check() or listens(self.port))

    def kill(self):
        self.group.kill()

    def _copy(self, cache):
        """Schemas take half a minute: they are made once for each version of Neutron and of our migrations."""
        parts = [(PACKAGE.parent / 'constraints.txt').read_bytes()]
        parts += [path.read_bytes() for path in sorted((PACKAGE / 'db').rglob('*.py'))]
        template = cache / hashlib.sha256(b'\0'.join(parts)).hexdigest()[:16]
        if not template.exists():
            making = cache / f'making-{os.getpid()}'
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            self._make(making)
            shutil.move(self.data, making / 'mariadb')
            making.rename(template)
        shutil.copytree(template / 'mariadb', self.data)

    def _make(self, directory):
        install = ['mariadb-install-db', '--no-defaults', f'--datadir={self.data}', '--user=root',
                   '--auth-root-authentication-method=normal', '--skip-test-db']
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        self.start()
        sql = 'CREATE DATABASE neutron CHARACTER SET utf8mb3'
        subprocess.run(['mariadb', '--no-defaults', f'--socket={self.data}/s', '-uroot', '-e', sql], check=True)
        conf = directory / 'schema.conf'
        conf.write_text(f'[DEFAULT]\ncore_plugin = ml2\n[database]\nconnection = {self.url}\n')
        manage = [BIN / 'neutron-db-manage', '--config-file', conf, 'upgrade', 'heads']
        subprocess.run(manage, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.group.process.terminate()
        self.group.process.wait()


def _server():
    found = shutil.which('mariadbd', path=os.environ.get('PATH', '') + ':/usr/sbin')
    if not found:
        raise RuntimeError('there is no mariadbd: run `cargo xtask setup`')
    return found


class Neutron:
    """The API under uwsgi, and workers, with one configuration."""

    def __init__(self, directory, database_url, controller_url, workers_of_api=2, options=''):
        self.directory = pathlib.Path(directory)
        self.workers_of_api = workers_of_api
        self.port = free_port()
        self.api = None
        self.workers = {}
        self._database_url = database_url
        self._dragonflow = f'controller_url = {controller_url}\n{options}'
        self.configure('dragonflow', 'dragonflow_router')

    def configure(self, drivers, services):
        """Writes the configuration, for what is started from now on."""
        (self.directory / 'neutron.conf').write_text(f'''
[DEFAULT]
core_plugin = ml2
service_plugins = {services}
auth_strategy = noauth
transport_url = fake://
api_paste_config = {BIN.parent / 'etc/neutron/api-paste.ini'}
state_path = {self.directory}
rpc_workers = 0
rpc_state_report_workers = 0
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[oslo_concurrency]
lock_path = {self.directory}
[oslo_messaging_notifications]
driver = noop
[database]
connection = {self._database_url}
max_retries = -1
[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_router = -1
quota_floatingip = -1
quota_security_group = -1
quota_security_group_rule = -1
[dragonflow]
{self._dragonflow}
''')
        (self.directory / 'ml2_conf.ini').write_text(f'''
[ml2]
type_drivers = vxlan,gre,geneve,vlan,flat
project_network_types = vxlan
mechanism_drivers = {drivers}
extension_drivers = port_security
[ml2_type_vxlan]
vni_ranges = 1:10000
[ml2_type_gre]
tunnel_id_ranges = 1:1000
[ml2_type_geneve]
vni_ranges = 1:1000
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:200
[ml2_type_flat]
flat_networks = *
''')

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}/'

    def start_api(self):
        self.port = free_port()
        env = {'OS_NEUTRON_CONFIG_DIR': str(self.directory), 'OS_NEUTRON_CONFIG_FILES': 'neutron.conf;ml2_conf.ini'}
        # uwsgi closes connections that clients would keep: so it says so.
        self.api = Group([
            BIN / 'uwsgi', '--http-socket', f'127.0.0.1:{self.port}', '--module', 'neutron.wsgi.api:application',
            '--master', '--processes', str(self.workers_of_api), '--lazy-apps', '--need-app', '--enable-threads',
            '--die-on-term', '--add-header', 'Connection: close', '--buffer-size', '65535', '--disable-logging'],
            self.directory / 'api.log', env)
        wait_for('answer of the API', lambda: self.api.check() or _answers(self.url))

    def start_worker(self, name):
        files = [f'--config-file={self.directory / name}' for name in ('neutron.conf', 'ml2_conf.ini')]
        self.workers[name] = Group([BIN / 'neutron-periodic-workers', *files], self.directory / f'worker-{name}.log')

    def kill_api(self):
        self.api.kill()

    def kill_worker(self, name):
        self.workers.pop(name).kill()

    def sync(self, *args):
        """Runs dragonflow-neutron-sync; its status and what it printed."""
        files = [f'--config-file={self.directory / name}' for name in ('neutron.conf', 'ml2_conf.ini')]
        done = subprocess.run([BIN / 'dragonflow-neutron-sync', *files, *args], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr[-2000:]

    def kill(self):
        for group in [self.api, *self.workers.values()]:
            if group:
                group.kill()


def _answers(url):
    import requests
    try:
        return requests.get(url + 'v2.0/networks', timeout=30).status_code == 200
    except requests.RequestException:
        return False
