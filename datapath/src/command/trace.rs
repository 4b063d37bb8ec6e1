//! `trace`: which way a packet takes here, and why.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use datapath::forward::{Forwarder, Way};
use datapath::maps::ImageMap;
use datapath::pins::Pins;
use fib::Memory;
use nix::net::if_::{if_indextoname, if_nametoindex};
use packet::build::{self, EchoKind, Ip, Link};
use packet::{Ends, IfIndex, MacAddr};

/// An echo request, as a guest would send it.
#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    /// The interface that it comes in by
    interface: String,
    /// Its source MAC address
    #[arg(long)]
    from_mac: MacAddr,
    /// Its destination MAC address: a station's or a router's
    #[arg(long)]
    to_mac: MacAddr,
    /// Its source address
    from: IpAddr,
    /// Its destination address
    to: IpAddr,
    /// Its TTL or hop limit
    #[arg(long, default_value_t = 64)]
    ttl: u8,
}

/// What the fast path does to a packet, by the image that it forwards by now.
pub(crate) fn run(question: &Question, folder: &Path) -> Result<()> {
    let pins = Pins::open(folder).context("nothing is attached: all packets go by the switch")?;
    let image = Memory::copy_of(ImageMap::of_pinned(&pins.images())?.map()?.bytes());
    let open = pins.open_ports()?;
    // What comes in by the underlay is no echo request.
    let is_open = |index: IfIndex| open.contains(&index);
    let forwarder = Forwarder { image: image.image(), open: is_open, underlay: None };
    let index = if_nametoindex(question.interface.as_str());
    let index = IfIndex(index.with_context(|| format!("no interface {}", question.interface))?);
    let mut frame = question.frame()?;
    let before = frame.len();
    let outcome = forwarder.forward(index, &mut frame);
    let reason = outcome.reason.name().to_lowercase();
    let Question { interface, from, to, .. } = question;
    print!("{from} -> {to}, in by {interface}: ");
    match outcome.way {
        Way::Pass => println!("to the switch, {reason}"),
        Way::Back => println!("answered, {reason}"),
        Way::Out(index) => {
            let name = if_indextoname(index.0).ok().and_then(|name| name.into_string().ok());
            let name = name.unwrap_or_else(|| format!("interface {index}"));
            let entry = outcome.entry.map(|id| format!(", adjacency {id}")).unwrap_or_default();
            let packed = frame.len().saturating_sub(before);
            let packed = if packed > 0 { format!(", {packed} bytes before it") } else { String::new() };
            println!("sent on, {reason}, out by {name}{entry}{packed}");
        }
    }
    Ok(())
}

impl Question {
    fn frame(&self) -> Result<Vec<u8>> {
        let ends = match (self.from, self.to) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Ends::V4 { src, dst },
            (IpAddr::V6(src), IpAddr::V6(dst)) => Ends::V6 { src, dst },
            _ => bail!("{} and {} are of different families", self.from, self.to),
        };
        let net = Ip { ends, hop_limit: self.ttl, tos: 0 };
        Ok(build::echo(&Link::untagged(self.from_mac, self.to_mac), &net, EchoKind::Request, 1, 1, &[0; 56]))
    }
}
