"""Numbers for Prometheus."""

import http.server
import threading

HELP = {
    'leads': ('gauge', '1 if this worker leads.'),
    'epoch': ('gauge', 'Epoch of the lease.'),
    'controller_up': ('gauge', '1 if the controller answered last.'),
    'journal_rows': ('counter', 'Rows of the journal that were sent.'),
    'objects_put': ('counter', 'Objects sent to the controller.'),
    'objects_deleted': ('counter', 'Deletions sent to the controller.'),
    'refused': ('gauge', 'Objects that the controller refuses.'),
    'reconciliations': ('counter', 'Comparisons of everything.'),
    'differences': ('counter', 'Objects that comparisons found to be otherwise in the controller.'),
    'errors': ('counter', 'Attempts that failed.'),
    'chassis_alive': ('gauge', 'Chassis that are connected.'),
}


class Metrics:
    """Counters and gauges, and the page that shows them."""

    def __init__(self):
        self._values = dict.fromkeys(HELP, 0)
        self._lock = threading.Lock()

    def add(self, name, count=1):
        with self._lock:
            self._values[name] += count

    def set(self, name, value):
        with self._lock:
            self._values[name] = value

    def text(self):
        with self._lock:
            values = dict(self._values)
        lines = []
        for name, (kind, about) in HELP.items():
            full = f'dragonflow_neutron_{name}' + ('_total' if kind == 'counter' else '')
            lines += [f'# HELP {full} {about}', f'# TYPE {full} {kind}', f'{full} {values[name]}']
        return '\n'.join(lines) + '\n'

    def serve(self, listen):
        """Serves the page at ADDRESS:PORT until the process ends; the server."""
        address, _colon, port = listen.rpartition(':')
        metrics = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802 - the name that http.server calls
                body = metrics.text().encode()
                self.send_response(200)
                self.send_header('Content-Type', 'text/plain; version=0.0.4')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format, *args):  # noqa: A002 - the signature of http.server
                """A scrape is no news."""

        server = http.server.ThreadingHTTPServer((address.strip('[]'), int(port)), Page)
        threading.Thread(target=server.serve_forever, name='dragonflow-metrics', daemon=True).start()
        return server
