"""A chassis as a row of Neutron's list of agents: there is no agent, but operators and schedulers look there."""

from oslo_utils import timeutils

TYPE = 'Dragonflow chassis'
BINARY = 'dragonflow'
TOPIC = 'N/A'
TUNNELS = ('vxlan', 'gre', 'geneve')


def row(chassis):
    """The row of a chassis, from the controller's state of it."""
    return {
        'agent_type': TYPE,
        'binary': BINARY,
        'host': chassis['id'],
        'topic': TOPIC,
        'configurations': {
            'connected': chassis['alive'],
            'bridge_mappings': chassis['bridge_mappings'],
            'tunnel_types': list(TUNNELS) if chassis['tunnels'] else [],
        },
    }


def connected(rows):
    """The configuration of the chassis if one of these rows is usable, else None.

    What the controller said last counts, not when: ports can be bound while it is away, and are wired when it is back.
    """
    for agent in rows:
        if agent['admin_state_up'] and agent['configurations'].get('connected'):
            return agent['configurations']
    return None


def reaches(configuration, segment):
    """Whether a chassis of this configuration reaches a segment of ML2."""
    kind = segment['network_type']
    if kind in ('vlan', 'flat'):
        return segment['physical_network'] in configuration.get('bridge_mappings', {})
    return kind in configuration.get('tunnel_types', ())


def heartbeat(core, context, chassis):
    """Keeps the row of a chassis alive."""
    core.create_or_update_agent(context, row(chassis))


def bury(core, context, chassis):
    """Makes the row of a chassis dead at once, not only when its heartbeats have been missing for long."""
    for agent in core.get_agent_objects(context, filters={'agent_type': TYPE, 'host': chassis['id']}):
        _bury(agent, row(chassis)['configurations'])


def bury_all_but(core, context, hosts):
    """Makes the rows of all other chassis dead: the controller does not serve them any more."""
    for agent in core.get_agent_objects(context, filters={'agent_type': TYPE}):
        configuration = agent.configurations
        if agent.host not in hosts and configuration.get('connected'):
            _bury(agent, {**configuration, 'connected': False})


def _bury(agent, configuration):
    agent.heartbeat_timestamp = timeutils.utcnow().replace(year=2000)
    agent.configurations = configuration
    agent.update()
