//! The ways to other chassis, which only this host knows: by which interface, to which MAC address.
//!
//! The controller names the other ends; here the kernel's routes and neighbours are read and written into the image. A way
//! that is not known stays as it was, and its frames go by Open vSwitch, whose first one makes the kernel ask for the
//! neighbour.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use fib::layout::{EgressRecord, Header, egress, section};
use nix::ifaddrs::getifaddrs;
use packet::{IfIndex, MacAddr};
use zerocopy::FromBytes as _;

use crate::Error;

/// What stands for the underlay's interface in an image whose writer does not know it.
pub const INTERFACE: IfIndex = IfIndex(u32::MAX);

/// Writes the ways out by an interface into an image that nobody reads yet, and that was checked: afterwards its checksums
/// do not hold. Gives the number of other chassis whose MAC address, or the next hop's, the kernel does not know.
///
/// # Errors
/// The kernel does not tell its routes or neighbours.
pub fn complete(image: &mut [u8], index: IfIndex) -> Result<usize, Error> {
    let kernel = Kernel::read()?;
    Ok(ways(image).map(|way| usize::from(!write(way, index, &kernel))).sum())
}

/// The tunnels of an image.
fn ways(image: &mut [u8]) -> impl Iterator<Item = &mut EgressRecord> {
    let place = Header::read_from_prefix(image).ok().and_then(|(header, _)| {
        let part = header.sections.get(section::EGRESSES)?;
        let start = usize::try_from(part.offset.get()).ok()?.checked_mul(fib::layout::UNIT)?;
        let len = usize::try_from(part.count.get()).ok()?.checked_mul(size_of::<EgressRecord>())?;
        Some(start..start.checked_add(len)?)
    });
    let records = match place {
        Some(place) => image.get_mut(place).unwrap_or_default(),
        None => &mut [],
    };
    let records = records.chunks_exact_mut(size_of::<EgressRecord>());
    records
        .filter_map(|bytes| EgressRecord::mut_from_bytes(bytes).ok())
        .filter(|way| way.kind == egress::TUNNEL && way.ifindex.get() == 0)
}

/// True if the way is known, or none that the fast path could take.
fn write(way: &mut EgressRecord, index: IfIndex, kernel: &Kernel) -> bool {
    let Some(remote) = Ipv6Addr::from(way.remote).to_ipv4_mapped() else { return true };
    let Some((outer_dst, outer_src)) = kernel.macs(remote) else { return false };
    (way.outer_dst, way.outer_src) = (outer_dst.0, outer_src.0);
    way.ifindex = index.0.into();
    true
}

/// What the kernel says of its routes, neighbours and interfaces, in the namespace of the thread that asks.
#[derive(Debug, Default)]
struct Kernel {
    routes: Vec<Route>,
    neighbours: Vec<(Ipv4Addr, String, MacAddr)>,
    interfaces: Vec<(String, MacAddr)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Route {
    device: String,
    to: u32,
    mask: u32,
    gateway: u32,
}

impl Kernel {
    fn read() -> Result<Self, Error> {
        let file = |name: &str| {
            let path = format!("/proc/thread-self/net/{name}");
            fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))
        };
        let addresses = getifaddrs()
            .map_err(|errno| Error::Io { what: "list interfaces".into(), source: errno.into() })?;
        let mac = |one: nix::ifaddrs::InterfaceAddress| {
            Some((one.interface_name, MacAddr(one.address?.as_link_addr()?.addr()?)))
        };
        Ok(Self {
            routes: file("route")?.lines().filter_map(route).collect(),
            neighbours: file("arp")?.lines().filter_map(neighbour).collect(),
            interfaces: addresses.filter_map(mac).collect(),
        })
    }

    /// MAC addresses of the next hop towards an address, and of the interface that it is on.
    fn macs(&self, to: Ipv4Addr) -> Option<(MacAddr, MacAddr)> {
        let matching = self.routes.iter().filter(|route| to.to_bits() & route.mask == route.to);
        let route = matching.max_by_key(|route| route.mask.leading_ones())?;
        let next = if route.gateway == 0 { to } else { Ipv4Addr::from_bits(route.gateway) };
        let neighbour =
            self.neighbours.iter().find(|(at, device, _)| *at == next && *device == route.device)?;
        let interface = self.interfaces.iter().find(|(name, _)| *name == route.device)?;
        Some((neighbour.2, interface.1))
    }
}

/// A line of /proc/net/route (proc(5)): device, destination, gateway, flags, ... mask at 7; numbers as they stand in
/// memory, in network order.
fn route(line: &str) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| {
        u32::from_str_radix(words.get(at)?, 16).ok().map(|bits| u32::from_be_bytes(bits.to_ne_bytes()))
    };
    let (to, gateway, mask) = (number(1)?, number(2)?, number(7)?);
    Some(Route { device: (*words.first()?).to_owned(), to, mask, gateway })
}

/// A line of /proc/net/arp (proc(5)): address, type, flags, MAC, mask, device. Flag 2: complete.
fn neighbour(line: &str) -> Option<(Ipv4Addr, String, MacAddr)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, _, flags, mac, _, device] = words.as_slice() else { return None };
    let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
    (flags & 2 != 0).then_some(())?;
    Some((address.parse().ok()?, (*device).to_owned(), mac.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                          br-phys\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                          br-phys\t00000000\tFE0200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
    const NEIGHBOURS: &str = "IP address       HW type     Flags       HW address            Mask     Device\n\
                              192.0.2.2        0x1         0x6         02:00:00:ff:00:02     *        br-phys\n\
                              192.0.2.3        0x1         0x0         00:00:00:00:00:00     *        br-phys\n\
                              192.0.2.254      0x1         0x2         02:00:00:ff:00:fe     *        br-phys\n";

    fn kernel() -> Kernel {
        Kernel {
            routes: ROUTES.lines().filter_map(route).collect(),
            neighbours: NEIGHBOURS.lines().filter_map(neighbour).collect(),
            interfaces: vec![("br-phys".into(), MacAddr([2, 0, 0, 0xff, 0, 1]))],
        }
    }

    #[test]
    fn ways_are_those_of_the_kernel() {
        let to = |last| kernel().macs(Ipv4Addr::new(192, 0, 2, last)).map(|(next, _)| next.0[5]);
        assert_eq!((to(2), to(3), to(4)), (Some(2), None, None), "on the link, known or not");
        let far = kernel().macs(Ipv4Addr::new(198, 51, 100, 1));
        assert_eq!(
            far,
            Some((MacAddr([2, 0, 0, 0xff, 0, 0xfe]), MacAddr([2, 0, 0, 0xff, 0, 1]))),
            "by the gateway"
        );
    }
}
