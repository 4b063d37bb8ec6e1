"""Options of the section [dragonflow]. The reference in docs/ is made from these."""

from oslo_config import cfg

GROUP = 'dragonflow'

OPTS = [
    cfg.URIOpt('controller_url', schemes=['http', 'https'], default='http://127.0.0.1:8642',
               help='Where the Dragonflow controller listens, as in its [api] listen.'),
    cfg.StrOpt('token_file', default='',
               help='File whose first line is the token that the controller asks for. Empty: none is sent.'),
    cfg.StrOpt('ca_file', default='',
               help='Certificates (PEM) of the authorities that may sign for the controller. Empty: those of the '
                    'system.'),
    cfg.StrOpt('client_cert', default='', help='Certificate (PEM) to show to the controller. Empty: none.'),
    cfg.StrOpt('client_key', default='', help='Private key (PEM) of client_cert.'),
    cfg.FloatOpt('request_timeout', default=60, min=1,
                 help='Seconds after which a request to the controller is given up.'),
    cfg.FloatOpt('poll_interval', default=0.1, min=0.01,
                 help='Seconds between two looks for changes in the journal.'),
    cfg.IntOpt('batch_size', default=500, min=1, max=10000,
               help='Most changes that are read from the journal, and most objects that are sent, at once.'),
    cfg.FloatOpt('lease', default=6, min=1,
                 help='Seconds without a sign of life from the leading worker after which another takes over.'),
    cfg.FloatOpt('reconcile_interval', default=300, min=1,
                 help='Seconds between two comparisons of everything in Neutron with everything in the controller. '
                      'A restarted controller is compared at once.'),
    cfg.IntOpt('report_interval', default=20, min=1, max=60,
               help='Seconds between two heartbeats of a chassis in the list of agents; keep it well below '
                    'agent_down_time.'),
    cfg.FloatOpt('retry_max', default=2, min=0.1,
                 help='Longest pause, in seconds, between two attempts while controller or database do not answer.'),
    cfg.StrOpt('metrics_listen', default='',
               help='ADDRESS:PORT where the worker serves metrics for Prometheus. Empty: nowhere.'),
]


def register(conf=cfg.CONF):
    conf.register_opts(OPTS, GROUP)


def list_opts():
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]
