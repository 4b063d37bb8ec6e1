//! One function a unit: from the view and the chassis to flows. Nothing else may be looked at here.

pub(super) use network::tunnel_slice;

mod network;
mod port;
mod router;

use super::{
    chassis::{Chassis, Source},
    view::View,
};
use crate::pipeline::{Category, Sink, UnitId, base};

/// Compiles one unit. A unit whose object is gone, or out of the chassis' slice, holds nothing.
pub(super) fn compile(view: &View, chassis: &Chassis, id: UnitId, source: &Source, sink: &mut Sink) {
    match source {
        Source::Base => base::flows(sink),
        Source::Port(port) => port::compile(view, chassis, id.object, port, sink),
        Source::Router(router) => router::compile(view, chassis, id.object, router, sink),
        Source::Network(network) => match id.category {
            Category::FloodPorts => network::flood_ports(view, chassis, id, network, sink),
            Category::FloodTunnels => network::flood_tunnels(view, chassis, id, network, sink),
            Category::Base | Category::Network | Category::Port | Category::Router => {
                network::compile(view, chassis, id.object, network, sink);
            }
        },
    }
}
