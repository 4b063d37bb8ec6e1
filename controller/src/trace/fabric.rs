//! What lies between switches: tunnels, physical networks and plugged-in ports; and the way of a packet across them.

use super::{
    packet::Packet,
    state::{Ingress, TunnelFields},
    switch::{BadFlow, Choose, Run, Sent, Switch},
};
use crate::{
    compile::{Compiler, LocalSwitch, TunnelType},
    model::{ChassisId, PhysicalNetwork, PortId},
};
use packet::{OfPort, ParsedPacket};
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    rc::Rc,
};

/// Most switches that one packet and its copies visit before they are taken to go round in circles.
const MAX_VISITS: usize = 4096;

/// The switches of a controller, as they should be, and what joins them.
#[derive(Debug)]
pub struct Fabric<'a> {
    compiler: &'a Compiler,
    switches: BTreeMap<ChassisId, Rc<Switch>>,
}

/// The way of a packet and of its copies.
#[derive(Debug, Default)]
pub struct Journey {
    /// The switches it met, in order; the first is where it was sent.
    pub visits: Vec<Visit>,
    /// True if it went round in circles and was given up.
    pub endless: bool,
}

/// A packet in one switch.
#[derive(Debug)]
pub struct Visit {
    /// Whose switch.
    pub chassis: ChassisId,
    /// How it got there.
    pub by: Door,
    /// What the switch did.
    pub run: Run,
    /// Where each packet of [`Run::sent`] went.
    pub fates: Vec<Fate>,
}

/// How a packet comes into a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// A plugged-in port.
    Port(PortId),
    /// A tunnel.
    Tunnel {
        /// Of which kind.
        kind: TunnelType,
        /// The key in it.
        id: u64,
        /// From where.
        from: ChassisId,
    },
    /// A physical network.
    Physical {
        /// Which.
        network: PhysicalNetwork,
        /// Sent by whom.
        from: ChassisId,
    },
}

/// Where a packet that left a switch went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// To a plugged-in port.
    Port(PortId),
    /// To another chassis; index into [`Journey::visits`].
    Tunnel(usize),
    /// To a chassis that this controller does not serve.
    Elsewhere(ChassisId),
    /// To a physical network, and to the chassis attached to it that this controller serves.
    Physical(PhysicalNetwork, Vec<usize>),
    /// Nowhere.
    Lost(Loss),
}

/// Why a packet that left a switch arrived nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The switch has no such port.
    #[error("chassis {0} has no port {1}")]
    NoPort(ChassisId, OfPort),
    /// Nobody has the tunnel's end.
    #[error("no chassis has the tunnel address {0}")]
    NoVtep(IpAddr),
    /// A flow did not say where the tunnel ends.
    #[error("no flow said where the tunnel ends")]
    NoDestination,
    /// The other end has no such tunnel.
    #[error("chassis {0} has no {kind} tunnel port", kind = kind_name(*.1))]
    NoTunnel(ChassisId, TunnelType),
}

/// A kind of tunnel in a word.
pub(super) const fn kind_name(kind: TunnelType) -> &'static str {
    match kind {
        TunnelType::Vxlan => "vxlan",
        TunnelType::Gre => "gre",
        TunnelType::Geneve => "geneve",
    }
}

/// A packet about to come into a switch.
type Arrival = (ChassisId, Door, Ingress);

impl<'a> Fabric<'a> {
    /// The chassis that a compiler serves.
    pub const fn new(compiler: &'a Compiler) -> Self {
        Self { compiler, switches: BTreeMap::new() }
    }

    /// The switch of a chassis as it should be; `None` if it is not served.
    ///
    /// # Errors
    /// If a flow does not decode.
    pub fn switch(&mut self, chassis: &ChassisId) -> Result<Option<Rc<Switch>>, BadFlow> {
        if let Some(switch) = self.switches.get(chassis) {
            return Ok(Some(Rc::clone(switch)));
        }
        let Some(desired) = self.compiler.desired(chassis) else { return Ok(None) };
        let switch = Rc::new(Switch::of(desired.flows(), desired.groups())?);
        self.switches.insert(chassis.clone(), Rc::clone(&switch));
        Ok(Some(switch))
    }

    /// Sends a frame from a port that is plugged into a served chassis; `None` if it is not.
    ///
    /// # Errors
    /// If a flow does not decode.
    pub fn send(&mut self, port: &PortId, frame: &[u8], choose: Choose) -> Result<Option<Journey>, BadFlow> {
        let view = self.compiler.view();
        let binding = view.model().ports.get(port).and_then(|port| port.spec.chassis.clone());
        let place = binding.and_then(|chassis| {
            let ofport = *self.compiler.local(&chassis)?.ports.get(port)?;
            Some((chassis, ofport))
        });
        let Some((chassis, ofport)) = place else { return Ok(None) };
        let ingress = Ingress { port: ofport, tunnel: TunnelFields::default(), packet: Packet::new(frame) };
        self.follow(chassis, Door::Port(port.clone()), ingress, choose).map(Some)
    }

    fn follow(
        &mut self,
        chassis: ChassisId,
        by: Door,
        ingress: Ingress,
        choose: Choose,
    ) -> Result<Journey, BadFlow> {
        let mut journey = Journey::default();
        let mut queue = VecDeque::from([(chassis, by, ingress)]);
        while let Some((chassis, by, ingress)) = queue.pop_front() {
            let Some(switch) = self.switch(&chassis)? else { continue };
            if journey.visits.len() >= MAX_VISITS {
                journey.endless = true;
                break;
            }
            let run = switch.run(ingress, choose);
            let mut fates = Vec::new();
            for sent in &run.sent {
                let next = journey.visits.len() + 1 + queue.len();
                let (fate, arrivals) = self.deliver(&chassis, sent, next);
                fates.push(fate);
                queue.extend(arrivals);
            }
            journey.visits.push(Visit { chassis, by, run, fates });
        }
        Ok(journey)
    }

    /// What joins a port of a switch to others; arrivals will be the visits from `next` on.
    fn deliver(&self, from: &ChassisId, sent: &Sent, next: usize) -> (Fate, Vec<Arrival>) {
        let lost = |loss| (Fate::Lost(loss), Vec::new());
        let Some(local) = self.compiler.local(from) else {
            return lost(Loss::NoPort(from.clone(), sent.port));
        };
        if let Some((port, _)) = local.ports.iter().find(|(_, ofport)| **ofport == sent.port) {
            return (Fate::Port(port.clone()), Vec::new());
        }
        if let Some((kind, _)) = local.tunnels.iter().find(|(_, ofport)| **ofport == sent.port) {
            return match self.through_tunnel(from, *kind, sent, next) {
                Ok((fate, arrival)) => (fate, arrival.into_iter().collect()),
                Err(loss) => lost(loss),
            };
        }
        if let Some((network, _)) = local.patches.iter().find(|(_, ofport)| **ofport == sent.port) {
            let arrivals: Vec<_> = self.through_physical(from, network, sent).collect();
            let visits = (next..next + arrivals.len()).collect();
            return (Fate::Physical(network.clone(), visits), arrivals);
        }
        lost(Loss::NoPort(from.clone(), sent.port))
    }

    fn through_tunnel(
        &self,
        from: &ChassisId,
        kind: TunnelType,
        sent: &Sent,
        next: usize,
    ) -> Result<(Fate, Option<Arrival>), Loss> {
        let vtep = sent.tunnel.destination().ok_or(Loss::NoDestination)?;
        let mut others = self.compiler.view().model().chassis.values();
        let to = others.find(|chassis| chassis.spec.encap_ips.contains(&vtep)).ok_or(Loss::NoVtep(vtep))?;
        let to = to.spec.id.clone();
        let Some(local) = self.compiler.local(&to) else { return Ok((Fate::Elsewhere(to), None)) };
        let port = *local.tunnels.get(&kind).ok_or_else(|| Loss::NoTunnel(to.clone(), kind))?;
        let id = sent.tunnel.id;
        let tunnel = TunnelFields { id, ..TunnelFields::default() };
        let ingress = Ingress { port, tunnel, packet: Packet::new(&sent.packet.frame()) };
        Ok((Fate::Tunnel(next), Some((to, Door::Tunnel { kind, id, from: from.clone() }, ingress))))
    }

    /// To every other chassis that is attached, as a physical switch does that has learned nothing yet.
    fn through_physical<'b>(
        &'b self,
        from: &'b ChassisId,
        network: &'b PhysicalNetwork,
        sent: &'b Sent,
    ) -> impl Iterator<Item = Arrival> + 'b {
        let others = self.compiler.view().model().chassis.keys().filter(move |other| *other != from);
        others.filter_map(move |other| {
            let port = *self.patches(other)?.get(network)?;
            let tunnel = TunnelFields::default();
            let ingress = Ingress { port, tunnel, packet: Packet::new(&sent.packet.frame()) };
            Some((other.clone(), Door::Physical { network: network.clone(), from: from.clone() }, ingress))
        })
    }

    fn patches(&self, chassis: &ChassisId) -> Option<&BTreeMap<PhysicalNetwork, OfPort>> {
        self.compiler.local(chassis).map(|local: &LocalSwitch| &local.patches)
    }
}

impl Journey {
    /// Every packet that arrived at a port, with the frame.
    pub fn delivered(&self) -> impl Iterator<Item = (&PortId, &Packet)> {
        self.visits.iter().flat_map(|visit| {
            visit.fates.iter().zip(&visit.run.sent).filter_map(|(fate, sent)| match fate {
                Fate::Port(port) => Some((port, &sent.packet)),
                _ => None,
            })
        })
    }

    /// Every packet that arrived at a port, parsed.
    pub fn arrivals(&self) -> impl Iterator<Item = (&PortId, ParsedPacket)> {
        self.delivered().map(|(port, packet)| (port, packet.parsed()))
    }
}
