//! Records, and what a packet needs before its route.

use super::prefixes::count;
use super::table::{Added, Exact};
use super::{BuildError, DomainState, EgressKey, NO_INDEX, Writer};
use crate::layout::{
    AdjacencyRecord, Domain, EgressRecord, GroupRecord, MemberRecord, NetworkRecord, PortRecord,
    RouterPortRecord, UNIT, domain, egress, flag, ingress, section, word as w,
};
use crate::memory::Container;
use crate::word::Target;
use crate::{
    Adjacency, AdjacencyId, EcmpGroup, Egress, Entry, GroupId, Neighbour, NetworkKey, PortKey, Prefix,
    Segment, Tables, TunnelKind,
};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use packet::{MacAddr, VrfId};
use zerocopy::{FromZeros, IntoBytes};

/// Indices by key while the image is built.
#[derive(Debug, Default)]
struct Indices {
    ports: BTreeMap<PortKey, u32>,
    networks: BTreeMap<NetworkKey, u32>,
}

impl Indices {
    fn port(&self, key: PortKey) -> Result<u32, BuildError> {
        self.ports.get(&key).copied().ok_or(BuildError::NoKey { what: "port", key: key.0 })
    }

    fn network(&self, key: NetworkKey) -> Result<u32, BuildError> {
        self.networks.get(&key).copied().ok_or(BuildError::NoKey { what: "network", key: key.0 })
    }
}

impl<C: Container> Writer<C> {
    /// Adds a key that is not a host to an exact-match section.
    pub(super) fn enter(&mut self, section: usize, key: u64, word: u32) -> Result<(), BuildError> {
        match self.add_exact(Exact::Plain(section, key), word) {
            Added::Placed | Added::Replaced(_) => Ok(()),
            Added::NoRoom => Err(BuildError::Full("key of ingress, station or binding")),
        }
    }

    pub(super) fn entry(&mut self, tables: &Tables) -> Result<(), BuildError> {
        let entry = &tables.entry;
        let mut indices = Indices::default();
        for (index, key) in entry.networks.keys().enumerate() {
            indices.networks.insert(*key, index16("network", index + 1)?);
        }
        for (index, key) in entry.ports.keys().enumerate() {
            indices.ports.insert(*key, index16("port", index + 1)?);
        }
        self.networks(entry, &indices)?;
        let ends = self.tunnel_ends(entry)?;
        self.ports(entry, &indices, ends)?;
        for (segment, network) in &entry.segments {
            let key = match segment {
                Segment::Tunnel { kind, vni } => {
                    ingress::TUNNEL << ingress::KIND_SHIFT | (*kind as u64) << 24 | u64::from(vni.get())
                }
                Segment::Vlan { uplink, vlan } => {
                    let vlan = vlan.map_or(0, |vlan| u64::from(vlan.get()));
                    ingress::VLAN << ingress::KIND_SHIFT | u64::from(indices.port(*uplink)?) << 12 | vlan
                }
            };
            self.enter(section::INGRESS, key, indices.network(*network)?)?;
        }
        self.router_ports(entry, &indices)?;
        for ((network, mac), adjacency) in &entry.stations {
            let word = Target::Adjacency(self.adjacency(*adjacency)?).word(0);
            self.enter(section::STATIONS, with_mac(indices.network(*network)?, *mac), word)?;
        }
        for ((port, mac), prefixes) in &entry.bindings {
            let index = self.sources(port.0, prefixes)?;
            self.enter(section::BINDINGS, with_mac(indices.port(*port)?, *mac), index)?;
        }
        Ok(())
    }

    fn networks(&mut self, entry: &Entry, indices: &Indices) -> Result<(), BuildError> {
        for (key, network) in &entry.networks {
            let domain = self.new_domain(domain::NETWORK, key.0)?;
            self.network_domains.insert(*key, domain);
            let record = NetworkRecord {
                key: key.0.into(),
                domain: domain.into(),
                mtu: network.mtu.into(),
                reserved: [0; 2],
                flags: slow(network.slow).into(),
                reserved2: [0; 16],
            };
            self.write_record(section::NETWORKS, indices.network(*key)?, record.as_bytes());
        }
        Ok(())
    }

    fn ports(&mut self, entry: &Entry, indices: &Indices, ends: u32) -> Result<(), BuildError> {
        for (key, port) in &entry.ports {
            let index = indices.port(*key)?;
            let network = port.network.map_or(Ok(0), |network| indices.network(network))?;
            let flags = slow(port.slow)
                | if port.secured { flag::SECURED } else { 0 }
                | if port.network.is_none() { flag::UPLINK } else { 0 };
            let (ifindex, ofport) = (port.ifindex.map(|it| it.0), port.ofport.map(|it| it.0));
            let record = PortRecord {
                key: key.0.into(),
                ifindex: ifindex.unwrap_or_default().into(),
                ofport: ofport.unwrap_or_default().into(),
                network: network.into(),
                domain: if port.network.is_none() { ends } else { 0 }.into(),
                flags: flags.into(),
                reserved: [0; 8],
            };
            self.write_record(section::PORTS, index, record.as_bytes());
            for (kind, number) in [(ingress::IFINDEX, ifindex), (ingress::OFPORT, ofport)] {
                if let Some(number) = number {
                    self.enter(section::INGRESS, kind << ingress::KIND_SHIFT | u64::from(number), index)?;
                }
            }
        }
        Ok(())
    }

    fn router_ports(&mut self, entry: &Entry, indices: &Indices) -> Result<(), BuildError> {
        for (index, (id, port)) in entry.router_ports.iter().enumerate() {
            let index = count("router port", index)?;
            let network = indices.network(port.network)?;
            let domain = self.vrfs.get(&port.vrf).copied().unwrap_or_default();
            let record = RouterPortRecord {
                mac: port.mac.0,
                mtu: port.mtu.into(),
                network: network.into(),
                domain: self.domain_number(domain).into(),
                id: id.0.into(),
                flags: slow(port.slow).into(),
                reserved: [0; 8],
            };
            self.write_record(section::ROUTER_PORTS, index, record.as_bytes());
            self.router_ports.insert(*id, index);
            self.enter(section::STATIONS, with_mac(network, port.mac), Target::Router(index).word(0))?;
        }
        Ok(())
    }

    /// A domain in which these addresses are accepted; its trees are built later.
    fn sources(&mut self, id: u32, prefixes: &[Prefix]) -> Result<u32, BuildError> {
        self.accepting(domain::BINDING, id, prefixes.iter().copied())
    }

    fn tunnel_ends(&mut self, entry: &Entry) -> Result<u32, BuildError> {
        if entry.tunnel_ends.is_empty() {
            return Ok(0);
        }
        self.accepting(domain::UNDERLAY, 0, entry.tunnel_ends.iter().map(|addr| Prefix::host(*addr)))
    }

    fn accepting(
        &mut self,
        kind: u32,
        id: u32,
        prefixes: impl Iterator<Item = Prefix>,
    ) -> Result<u32, BuildError> {
        let index = self.new_domain(kind, id)?;
        for prefix in prefixes {
            let (key, addr) = super::build::key_of(prefix.addr());
            let word = Target::Special(w::ALLOW).word(prefix.len());
            if prefix.len() == 0 {
                self.set_default(index, key.v6, word);
            } else {
                self.set_seen(index, |state| {
                    state.family(key.v6).prefixes.insert((addr, prefix.len()), word);
                });
            }
        }
        self.set_seen(index, |state| state.prefixes_only = true);
        Ok(index)
    }

    pub(super) fn network_domain(&self, network: NetworkKey) -> Result<u32, BuildError> {
        let index = self.network_domains.get(&network).copied();
        index.ok_or(BuildError::NoKey { what: "network", key: network.0 })
    }

    pub(super) fn neighbour(&self, neighbour: Neighbour) -> Result<Target, BuildError> {
        Ok(match neighbour {
            Neighbour::Station(id) => Target::Adjacency(self.adjacency(id)?),
            Neighbour::Router(id) => Target::Router(self.router_port(id)?),
        })
    }

    /// Writes a record where nobody reads yet.
    pub(super) fn write_record(&self, section: usize, index: u32, bytes: &[u8]) {
        if let Some(at) = self.view().part(section).record(index, bytes.len()) {
            self.view().write(at, bytes);
        }
    }

    pub(super) fn new_domain(&mut self, kind: u32, id: u32) -> Result<u32, BuildError> {
        let index = self.free_domains.take().ok_or(BuildError::Full("domain"))?;
        let record = Domain { kind: kind.into(), id: id.into(), ..Domain::new_zeroed() };
        self.write_record(section::DOMAINS, index, record.as_bytes());
        if self.domains.len() <= index as usize {
            self.domains.resize_with(index as usize + 1, DomainState::default);
        }
        self.set_seen(index, |state| *state = DomainState::default());
        Ok(index)
    }

    /// The byte offset of a family's root word; its default follows.
    pub(super) fn root_at(&self, index: u32, v6: bool) -> Option<usize> {
        crate::walk::roots::<0>(self.view(), index, v6)
    }

    pub(super) fn set_default(&self, index: u32, v6: bool, word: u32) {
        if let Some(at) = self.root_at(index, v6) {
            self.view().store32(at + 4, word);
        }
    }

    /// The domain of a VRF, made if there is none.
    pub(super) fn domain_for(&mut self, vrf: VrfId) -> Result<u32, BuildError> {
        if let Some(index) = self.vrfs.get(&vrf) {
            return Ok(*index);
        }
        let index = self.new_domain(domain::VRF, vrf.get())?;
        self.name_vrf(vrf, index)?;
        self.vrfs.insert(vrf, index);
        Ok(index)
    }

    pub(super) fn write_adjacency(
        &mut self,
        id: AdjacencyId,
        adjacency: &Adjacency,
        egress: u32,
    ) -> Result<u32, BuildError> {
        let index = self.free_adjacencies.take().ok_or(BuildError::Full("adjacency"))?;
        let segment = match adjacency.egress {
            Egress::Local { .. } => 0,
            Egress::Tunnel { vni, .. } => vni.get(),
            Egress::Vlan { vlan, .. } => vlan.map_or(0, |vlan| vlan.get().into()),
        };
        let record = AdjacencyRecord {
            dst_mac: adjacency.dst_mac.0,
            mtu: adjacency.mtu.into(),
            src_mac: adjacency.src_mac.0,
            used: 1.into(),
            egress: egress.into(),
            segment: segment.into(),
            network: adjacency.network.0.into(),
            id: id.0.into(),
        };
        self.write_record(section::ADJACENCIES, index, record.as_bytes());
        if self.adjacency_index.len() <= id.0 as usize {
            self.adjacency_index.resize(id.0 as usize + 1, NO_INDEX);
        }
        if let Some(place) = self.adjacency_index.get_mut(id.0 as usize) {
            *place = index;
        }
        Ok(index)
    }

    /// The index of an egress, made if there is none.
    pub(super) fn egress(&mut self, egress: Egress, entry: &Entry) -> Result<u32, BuildError> {
        let key = EgressKey::from(egress);
        if let Some(index) = self.egress_index.get(&key) {
            return Ok(*index);
        }
        let index = self.free_egresses.take().ok_or(BuildError::Full("egress"))?;
        self.write_record(section::EGRESSES, index, egress_record(egress, entry).as_bytes());
        self.egress_index.insert(key, index);
        Ok(index)
    }

    /// Writes a group's members where nobody reads yet, then leads to them.
    pub(super) fn write_group(&mut self, id: GroupId, group: &EcmpGroup) -> Result<(), BuildError> {
        let members = group.members();
        if members.is_empty() {
            return Err(BuildError::EmptyGroup(id));
        }
        let number = count("member", members.len())?;
        if number > MAX_MEMBERS {
            return Err(BuildError::TooLarge { what: "number of group members", value: members.len() });
        }
        let header = GroupRecord { id: id.0.into(), count: number.into() };
        let mut bytes: Vec<u8> = header.as_bytes().to_vec();
        for member in members {
            let adjacency = self.adjacency(member.adjacency)?.into();
            bytes.extend_from_slice(MemberRecord { key: member.key.into(), adjacency }.as_bytes());
        }
        let offset = self.take(group_units(number))?;
        self.view().write(offset as usize * UNIT, &bytes);
        let index = match self.group_index.get(&id) {
            Some(index) => *index,
            None => self.free_groups.take().ok_or(BuildError::Full("ecmp group"))?,
        };
        self.group_index.insert(id, index);
        if let Some(at) = self.view().part(section::GROUPS).record(index, 4) {
            self.view().store32(at, offset);
        }
        Ok(())
    }
}

/// Most members of a group.
pub(crate) const MAX_MEMBERS: u32 = 255;

/// Units of a group with this many members.
pub(crate) const fn group_units(members: u32) -> u32 {
    (members * 8 + 8).div_ceil(64)
}

/// The key of a station or binding.
pub(super) fn with_mac(index: u32, mac: MacAddr) -> u64 {
    u64::from(index) << 48 | mac.to_u64()
}

fn slow(slow: bool) -> u32 {
    if slow { flag::SLOW } else { 0 }
}

fn index16(what: &'static str, index: usize) -> Result<u32, BuildError> {
    u16::try_from(index).map(u32::from).map_err(|_| BuildError::TooLarge { what, value: index })
}

fn octets(addr: IpAddr) -> [u8; 16] {
    match addr.to_canonical() {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
        IpAddr::V6(addr) => addr.octets(),
    }
}

fn egress_record(egress: Egress, entry: &Entry) -> EgressRecord {
    let mut record = EgressRecord::new_zeroed();
    let mut port = |kind: u8, key: PortKey| {
        let port = entry.ports.get(&key).copied().unwrap_or_default();
        record.kind = kind;
        record.port = key.0.into();
        record.ifindex = port.ifindex.map_or(0, |it| it.0).into();
        record.ofport = port.ofport.map_or(0, |it| it.0).into();
        record.flags = slow(port.slow).into();
    };
    match egress {
        Egress::Local { port: key } => port(egress::LOCAL, key),
        Egress::Vlan { uplink, .. } => port(egress::VLAN, uplink),
        Egress::Tunnel { vtep, kind, .. } => {
            record.kind = egress::TUNNEL;
            record.tunnel = kind as u8;
            record.remote = octets(vtep);
            tunnel_path(&mut record, (vtep, kind), entry);
        }
    }
    record
}

fn tunnel_path(record: &mut EgressRecord, key: (IpAddr, TunnelKind), entry: &Entry) {
    let Some(path) = entry.tunnels.get(&key) else { return };
    record.udp_port = path.udp_port.into();
    record.ifindex = path.ifindex.0.into();
    record.local = octets(path.local);
    record.outer_dst = path.outer_dst.0;
    record.outer_src = path.outer_src.0;
}
