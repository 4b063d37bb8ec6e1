//! From the rows of the database to the ports that others act on. Pure.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ChassisPorts, Interface, TunnelType, Wanted, Warning,
    observed::{BridgeRow, InterfaceRow, Observed},
    plan::role,
};

/// The ports on the integration bridge, and what is wrong with them.
pub(super) fn chassis_ports(observed: &Observed, wanted: &Wanted) -> (ChassisPorts, Vec<Warning>) {
    let external_ids =
        observed.roots.values().next().map(|root| root.external_ids.clone()).unwrap_or_default();
    let mut ports = ChassisPorts { external_ids, ..ChassisPorts::default() };
    let mut warnings = Vec::new();
    let Some((_, bridge)) = observed.bridge(&wanted.bridge) else { return (ports, warnings) };

    ports.datapath_id = bridge.datapath_id.as_deref().and_then(|id| id.parse().ok());
    if ports.datapath_id.is_none() {
        warnings.push(Warning::NoDatapath { bridge: bridge.name.clone() });
    }
    let mut rivals = BTreeMap::<Arc<str>, Vec<Arc<Interface>>>::new();
    for row in interfaces_on(observed, bridge) {
        let shown = &row.shown;
        match (row.role.as_deref(), &row.iface_id) {
            (Some(role::TUNNEL), _) => {
                if let Some(tunnel) = TunnelType::ALL.into_iter().find(|t| t.port_name() == shown.name) {
                    ports.tunnels.insert(tunnel, Arc::clone(shown));
                }
            }
            (Some(role::PATCH), _) => {
                if let Some(network) = &row.physical_network {
                    ports.patches.insert(network.clone(), Arc::clone(shown));
                }
            }
            (_, Some(iface_id)) => {
                if let Some(rival) = ports.interfaces.insert(Arc::clone(iface_id), Arc::clone(shown)) {
                    rivals.entry(Arc::clone(iface_id)).or_default().push(rival);
                }
            }
            (_, None) => continue,
        }
        if let Some(error) = &shown.error {
            warnings.push(Warning::InterfaceError { interface: shown.name.clone(), error: error.clone() });
        }
    }
    for (iface_id, mut claimants) in rivals {
        claimants.extend(ports.interfaces.get(&iface_id).cloned());
        warnings.extend(choose(&mut ports, iface_id, claimants));
    }
    (ports, warnings)
}

fn interfaces_on<'a>(
    observed: &'a Observed,
    bridge: &'a BridgeRow,
) -> impl Iterator<Item = &'a InterfaceRow> {
    let ports = bridge.ports.iter().filter_map(|uuid| observed.ports.get(uuid));
    ports.flat_map(|port| &port.interfaces).filter_map(|uuid| observed.interfaces.get(uuid))
}

/// Of several interfaces with one id, one with a port number counts before one without, then the first by name.
fn choose(
    ports: &mut ChassisPorts,
    iface_id: Arc<str>,
    mut claimants: Vec<Arc<Interface>>,
) -> Option<Warning> {
    claimants.sort_by(|a, b| (a.ofport.is_none(), &a.name).cmp(&(b.ofport.is_none(), &b.name)));
    let (chosen, others) = claimants.split_first()?;
    let warning = Warning::DuplicateIfaceId {
        iface_id: iface_id.to_string(),
        chosen: chosen.name.clone(),
        others: others.iter().map(|interface| interface.name.clone()).collect(),
    };
    ports.interfaces.insert(iface_id, Arc::clone(chosen));
    Some(warning)
}
