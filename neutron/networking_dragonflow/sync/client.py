"""The controller's REST API, as docs/openapi.json of the repository describes it. One client a thread."""

from oslo_config import cfg
import requests

from networking_dragonflow import conf


class Unreachable(Exception):
    """The controller does not answer, or cannot do anything now: to be tried again later."""


class Fenced(Exception):
    """A worker with a greater epoch wrote to the controller."""

    def __init__(self, mine, current):
        super().__init__(f'epoch {mine} is over, the controller is at {current}')
        self.current = current


class Rejected(Exception):
    """The controller does not understand us: a defect, or versions that do not fit."""


class Client:
    """Asks one controller."""

    def __init__(self):
        options = cfg.CONF[conf.GROUP]
        self._url = options.controller_url.rstrip('/')
        self._timeout = options.request_timeout
        self._session = requests.Session()
        # What the environment says of proxies is for other traffic.
        self._session.trust_env = False
        self._session.verify = options.ca_file or True
        if options.client_cert:
            self._session.cert = (options.client_cert, options.client_key)
        if options.token_file:
            # Read for each request: a new token needs no restart.
            self._session.auth = lambda request: _with_token(request, options.token_file)

    def hello(self):
        return self._ask('GET', '/v1/hello')

    def batch(self, epoch, put, delete):
        """`put`: pairs of kind and object, `delete`: pairs of kind and id."""
        body = {
            'epoch': epoch,
            'put': [{'kind': kind, 'spec': spec} for kind, spec in put],
            'delete': [{'kind': kind, 'id': object_id} for kind, object_id in delete],
        }
        return self._ask('POST', '/v1/batch', json=body, epoch=epoch)

    def digest(self, kinds):
        return self._ask('GET', '/v1/digest', params={'kinds': ','.join(kinds)})

    def states(self, since, instance, wait):
        """What is really there; waits for news up to `wait` seconds. `since` None: everything at once."""
        params = {'timeout': wait}
        if since is not None:
            params.update(since=since, instance=instance)
        return self._ask('GET', '/v1/states', params=params, timeout=self._timeout + wait)

    def _ask(self, method, path, epoch=None, timeout=None, **more):
        try:
            answer = self._session.request(method, self._url + path, timeout=timeout or self._timeout, **more)
            if answer.status_code == 412:
                raise Fenced(epoch, self.hello()['epoch'])
            if answer.status_code in (401, 403):
                raise Unreachable(f'{method} {path}: {_error(answer)}')
            if answer.status_code >= 500:
                raise Unreachable(f'{method} {path}: {_error(answer)}')
            if answer.status_code >= 400:
                raise Rejected(f'{method} {path}: {_error(answer)}')
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            raise Unreachable(f'{method} {path}: {error}') from error


def _with_token(request, path):
    try:
        with open(path, encoding='utf-8') as file:
            token = file.readline().strip()
    except OSError as error:
        raise Unreachable(f'token file {path}: {error.strerror}') from error
    request.headers['Authorization'] = f'Bearer {token}'
    return request


def _error(answer):
    try:
        return f'{answer.status_code} {answer.json()["error"]}'
    except (ValueError, KeyError, TypeError):
        return f'{answer.status_code} {answer.text[:200]}'
