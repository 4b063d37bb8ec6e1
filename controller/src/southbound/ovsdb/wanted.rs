//! What one chassis shall look like, the names that follow from it, and what of it cannot be.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// A kind of tunnel that a chassis can have; each has one port, for all remotes and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelType {
    /// RFC 7348, on port `df-vxlan`.
    Vxlan,
    /// RFC 2784 with the key of RFC 2890, on port `df-gre`.
    Gre,
    /// RFC 8926, on port `df-geneve`.
    Geneve,
}

/// What one chassis shall look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The integration bridge; created when missing. Default "br-int".
    pub bridge: String,
    /// `Bridge.datapath_type` of the integration bridge, as in "netdev" or "system". `None` leaves that of an existing
    /// bridge alone. Bridges that we create for physical networks get the type of the integration bridge, since
    /// patch ports join only bridges of one datapath. Default `None`.
    pub datapath_type: Option<String>,
    /// How the switch reaches the controller. Default "tcp:127.0.0.1:6653".
    pub controller: ControllerTarget,
    /// The source address of tunnelled packets; `None` lets the routing table of the chassis choose. Default `None`.
    pub encap_ip: Option<IpAddr>,
    /// The tunnel ports to have. Default none.
    pub tunnels: BTreeSet<TunnelType>,
    /// From physical network to the name of the bridge that leads there. Default none.
    pub provider_bridges: BTreeMap<String, String>,
}

/// One row of the table `Controller`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerTarget {
    /// As OVS writes it: "tcp:127.0.0.1:6653", "ssl:..." or "unix:/run/openvswitch/dragonflow.sock". `ovs-vswitchd`
    /// dials a unix socket only in its own run directory; for any other it is as if there were no controller.
    pub target: String,
    /// The longest wait between two attempts to connect, in milliseconds, 1000 at least; part of a second does not
    /// count. Default 1000: OVS would wait up to 8 s on its own, and that is how long a restarted controller would be
    /// blind. (It still does before its first connection.)
    pub max_backoff_ms: u32,
    /// Silence after which the switch asks for an echo, in milliseconds; 0 never asks. Default 5000.
    pub inactivity_probe_ms: u32,
}

/// A [`Wanted`] that no chassis can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// A name that no network device can have.
    #[error(
        "bridge name {name:?} is not usable: want 1 to {MAX_NAME} printable characters without space or slash"
    )]
    BridgeName {
        /// The name.
        name: String,
    },
    /// A name that our own ports have or may have.
    #[error(
        "bridge name {name:?} is not usable: names that begin with df-, dfi- and dfp- are for tunnels and patches"
    )]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A physical network cannot lead to the integration bridge.
    #[error(
        "physical network {physical_network:?} is mapped to the integration bridge {bridge}: want another bridge"
    )]
    ProviderIsIntegration {
        /// The physical network.
        physical_network: String,
        /// The integration bridge.
        bridge: String,
    },
    /// Two physical networks on one bridge would be one network.
    #[error(
        "physical networks {first:?} and {second:?} are both mapped to bridge {bridge}: want one bridge each"
    )]
    SharedProviderBridge {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// The bridge.
        bridge: String,
    },
    /// A name of a physical network must be something.
    #[error("a physical network has an empty name")]
    EmptyPhysicalNetwork,
    /// A target that Open vSwitch would not dial.
    #[error("controller target {0:?} is not usable: want tcp:ADDRESS:PORT, ssl:ADDRESS:PORT or unix:PATH")]
    Target(String),
    /// Less than the schema allows.
    #[error("max_backoff of {0} ms is not usable: want 1000 at least")]
    MaxBackoff(u32),
    /// An address that no packet can come from.
    #[error("encap ip {0} is not usable: want a unicast address")]
    EncapIp(IpAddr),
}

/// The longest name of a network device (IFNAMSIZ without the final NUL).
const MAX_NAME: usize = 15;

impl TunnelType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Vxlan, Self::Gre, Self::Geneve];

    /// The name of the port.
    pub const fn port_name(self) -> &'static str {
        match self {
            Self::Vxlan => "df-vxlan",
            Self::Gre => "df-gre",
            Self::Geneve => "df-geneve",
        }
    }

    /// `Interface.type`.
    pub const fn interface_type(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Gre => "gre",
            Self::Geneve => "geneve",
        }
    }

    /// True if packets travel in UDP.
    pub const fn is_udp(self) -> bool {
        match self {
            Self::Vxlan | Self::Geneve => true,
            Self::Gre => false,
        }
    }
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            bridge: "br-int".into(),
            datapath_type: None,
            controller: ControllerTarget::new("tcp:127.0.0.1:6653"),
            encap_ip: None,
            tunnels: BTreeSet::new(),
            provider_bridges: BTreeMap::new(),
        }
    }
}

impl ControllerTarget {
    /// A target with the default timing.
    pub fn new(target: impl Into<String>) -> Self {
        Self { target: target.into(), max_backoff_ms: 1000, inactivity_probe_ms: 5000 }
    }
}

impl Wanted {
    /// Whether a chassis can look like this.
    ///
    /// # Errors
    /// [`WantedError`] with the first thing that cannot be.
    pub fn validate(&self) -> Result<(), WantedError> {
        check_name(&self.bridge)?;
        let mut networks_of = BTreeMap::<&str, &str>::new();
        for (network, bridge) in &self.provider_bridges {
            check_name(bridge)?;
            if network.is_empty() {
                return Err(WantedError::EmptyPhysicalNetwork);
            }
            if *bridge == self.bridge {
                let (physical_network, bridge) = (network.clone(), bridge.clone());
                return Err(WantedError::ProviderIsIntegration { physical_network, bridge });
            }
            if let Some(first) = networks_of.insert(bridge, network) {
                let (first, second, bridge) = (first.to_owned(), network.clone(), bridge.clone());
                return Err(WantedError::SharedProviderBridge { first, second, bridge });
            }
        }
        let target = &self.controller.target;
        let dials = |scheme| target.strip_prefix(scheme).is_some_and(|rest: &str| !rest.is_empty());
        if !["tcp:", "ssl:", "unix:"].into_iter().any(dials) {
            return Err(WantedError::Target(target.clone()));
        }
        if self.controller.max_backoff_ms < 1000 {
            return Err(WantedError::MaxBackoff(self.controller.max_backoff_ms));
        }
        match self.encap_ip {
            Some(ip) if ip.is_unspecified() || ip.is_multicast() => Err(WantedError::EncapIp(ip)),
            _ => Ok(()),
        }
    }
}

fn check_name(name: &str) -> Result<(), WantedError> {
    let usable = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
        && ![".", ".."].contains(&name);
    if !usable {
        return Err(WantedError::BridgeName { name: name.to_owned() });
    }
    if ["df-", "dfi-", "dfp-"].iter().any(|ours| name.starts_with(ours)) {
        return Err(WantedError::ReservedName { name: name.to_owned() });
    }
    Ok(())
}

/// The two ends of the patch to a physical network's bridge: first ours on the integration bridge, then its peer.
///
/// Names of devices are short, so a name that is long or unusual is cut and told apart by a hash. The '~' occurs in
/// no name that was taken as it is.
pub(super) fn patch_names(physical_network: &str) -> (String, String) {
    const ROOM: usize = MAX_NAME - "dfi-".len();
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let name = if physical_network.len() <= ROOM && physical_network.bytes().all(usual) {
        physical_network.to_owned()
    } else {
        let start: String = physical_network.chars().filter(|c| c.is_ascii_alphanumeric()).take(2).collect();
        format!("{start}~{:08x}", fnv1a(physical_network.as_bytes()))
    };
    (format!("dfi-{name}"), format!("dfp-{name}"))
}

/// The hash FNV-1a with 32 bits: the names must be the same in every version of this program and on every machine.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_names_fit_and_differ() {
        assert_eq!(patch_names("physnet1"), ("dfi-physnet1".into(), "dfp-physnet1".into()));
        // FNV-1a's own test vector.
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
        bolero::check!().with_type::<(String, String)>().for_each(|(a, b)| {
            let (ours, peer) = patch_names(a);
            for name in [&ours, &peer] {
                assert!(matches!(check_name(name), Err(WantedError::ReservedName { .. })), "{a:?}: {name}");
            }
            assert_ne!(ours, peer);
            assert_eq!(a == b, ours == patch_names(b).0);
        });
    }

    #[test]
    fn what_cannot_be_is_named() {
        let refused = |change: &dyn Fn(&mut Wanted)| {
            let mut wanted = Wanted::default();
            wanted.validate().unwrap();
            change(&mut wanted);
            wanted.validate().unwrap_err().to_string()
        };
        let map = |wanted: &mut Wanted, pairs: &[(&str, &str)]| {
            wanted.provider_bridges = pairs.iter().map(|(n, b)| (n.to_string(), b.to_string())).collect();
        };
        assert!(
            refused(&|w| w.bridge = "a bridge".into()).starts_with("bridge name \"a bridge\" is not usable")
        );
        assert!(refused(&|w| w.bridge = "df-gre".into()).contains("for tunnels and patches"));
        assert!(refused(&|w| map(w, &[("p", "br-with-a-long-name")])).contains("br-with-a-long-name"));
        assert!(refused(&|w| map(w, &[("p", "br-int")])).contains("mapped to the integration bridge br-int"));
        assert!(
            refused(&|w| map(w, &[("p", "b"), ("q", "b")])).starts_with("physical networks \"p\" and \"q\"")
        );
        assert!(refused(&|w| map(w, &[("", "b")])).contains("empty"));
        assert!(refused(&|w| w.controller.target = "ptcp:6653".into()).contains("\"ptcp:6653\""));
        assert!(refused(&|w| w.controller.max_backoff_ms = 999).contains("999"));
        assert!(refused(&|w| w.encap_ip = Some([224, 0, 0, 1].into())).contains("224.0.0.1"));
    }
}
