"""What makes Neutron's tests ours: our classes in place of Neutron's, and what is not run, with the reason."""

from networking_dragonflow.db import models  # noqa: F401 - the fixture makes tables of what is imported

L3_PLUGIN = 'networking_dragonflow.l3_plugin.DragonflowL3Plugin'

_TO_AGENTS = 'asserts an RPC to L3 agents; Dragonflow has none'

SKIPS = {
    'test__notify_gateway_port_ip_changed': _TO_AGENTS,
    'test__notify_gateway_port_ip_not_changed': _TO_AGENTS,
    'test_create_floatingip_non_admin_context_agent_notification': _TO_AGENTS,
    'test_update_port_status_notify_port_event_after_update': _TO_AGENTS,
}


class SkipMixin:
    """Goes before the test classes of Neutron."""

    def skip_if_listed(self):
        reason = SKIPS.get(self._testMethodName)
        if reason:
            self.skipTest(reason)

    def setUp(self, *args, **kwargs):
        self.skip_if_listed()
        super().setUp(*args, **kwargs)


class Ml2(SkipMixin):
    """Goes before test classes of ML2."""

    _mechanism_drivers = ['logger', 'dragonflow']
    l3_plugin = L3_PLUGIN
