//! A hypervisor: one namespace with one Open vSwitch, joined to the fabric.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use packet::MacAddr;

use crate::lab::Lab;
use crate::netns::Netns;
use crate::nic::{Direction, Nic};
use crate::ovs::{Daemon, Ovs};

/// One host of a lab. Clones are handles to the same host.
#[derive(Clone)]
pub struct Hypervisor {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    number: u8,
    netns: Netns,
    ovs: Ovs,
    underlay_mtu: u32,
    /// VTEP addresses and MACs of the whole lab, told to the switch again after each of its starts.
    neighbours: Mutex<Vec<Vtep>>,
}

#[derive(Debug, Clone, Copy)]
struct Vtep {
    mac: MacAddr,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Hypervisor {
    pub(crate) fn create(lab: &Lab, name: &str, number: u8) -> Result<Self> {
        ensure!(
            (1..=10).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric()),
            "hypervisor name \"{name}\" is no word of 1 to 10 letters and digits"
        );
        let netns = lab.netns(name)?;
        // The switch's own interfaces must not speak: their router solicitations would be frames that no
        // test asked for. br-phys alone gets IPv6 back, see `configure_underlay`.
        netns.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        netns.sysctl("ipv6/conf/default/accept_dad", "0")?;
        netns.sysctl("ipv6/conf/default/router_solicitations", "0")?;
        let mtu = lab.options().underlay_mtu;
        let fabric = lab.fabric();
        for side in ["tun", "ex"] {
            fabric.ip(&format!(
                "link add {side}{number} mtu {mtu} type veth peer name {side}0 mtu {mtu} netns {}\n\
                 link set {side}{number} master {side} up\n",
                netns.name()
            ))?;
            fabric.exec("ethtool", &["-K", &format!("{side}{number}"), "tx", "off"])?;
            netns.exec("ethtool", &["-K", &format!("{side}0"), "tx", "off"])?;
            netns.ip(&format!("link set {side}0 up"))?;
        }
        let ovs = Ovs::create(lab.id(), &netns, lab.dir().join(name))?;
        let inner =
            Inner { name: name.into(), number, netns, ovs, underlay_mtu: mtu, neighbours: Mutex::default() };
        let hypervisor = Self { inner: Arc::new(inner) };
        hypervisor.create_bridges()?;
        hypervisor.configure_underlay()?;
        Ok(hypervisor)
    }

    /// The name it was made with; also its `external_ids:system-id` and `hostname`.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.inner.netns
    }

    /// Directory of its sockets, database and logs. OVS lets a bridge connect to a controller by unix
    /// socket only when the socket lies in this directory.
    pub fn rundir(&self) -> &Path {
        self.inner.ovs.rundir()
    }

    /// The unix socket of its `ovsdb-server`, reachable from every namespace.
    pub fn db_sock(&self) -> PathBuf {
        self.inner.ovs.db_sock()
    }

    /// Its tunnel endpoint, 192.0.2.n of a /24.
    pub fn vtep4(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.inner.number)
    }

    /// Its IPv6 tunnel endpoint, 2001:db8:ffff::n of a /64.
    pub fn vtep6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, u16::from(self.inner.number))
    }

    fn vtep(&self) -> Vtep {
        Vtep { mac: self.underlay_mac(), v4: self.vtep4(), v6: self.vtep6() }
    }

    /// MAC address of its tunnel endpoints.
    pub fn underlay_mac(&self) -> MacAddr {
        MacAddr([0x02, 0, 0, 0xff, 0, self.inner.number])
    }

    /// Runs `ovs-vsctl`; waits for the switch to follow unless `--no-wait` is given.
    ///
    /// # Errors
    /// As [`run`](crate::run); also when nothing answers for 20 s.
    pub fn ovs_vsctl(&self, args: &[&str]) -> Result<String> {
        self.inner.ovs.vsctl(args)
    }

    /// Runs `ovs-ofctl -O OpenFlow13`.
    ///
    /// # Errors
    /// As [`run`](crate::run); also when nothing answers for 20 s.
    pub fn ovs_ofctl(&self, args: &[&str]) -> Result<String> {
        self.inner.ovs.ofctl(args)
    }

    /// As [`Hypervisor::ovs_ofctl`] with text on standard input: `add-flows br-int -`, for example.
    ///
    /// # Errors
    /// As [`run`](crate::run); also when nothing answers for 60 s.
    pub fn ovs_ofctl_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        self.inner.ovs.ofctl_with_input(args, input)
    }

    /// Runs `ovs-appctl` against `ovs-vswitchd`.
    ///
    /// # Errors
    /// As [`run`](crate::run).
    pub fn ovs_appctl(&self, args: &[&str]) -> Result<String> {
        self.inner.ovs.appctl(args)
    }

    /// Process id of a daemon.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&self, daemon: Daemon) -> Result<i32> {
        self.inner.ovs.pid(daemon)
    }

    /// Ends a daemon by `kill -9` and waits until it is gone.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill9(&self, daemon: Daemon) -> Result<()> {
        self.inner.ovs.end(daemon, Signal::SIGKILL)
    }

    /// Ends a daemon by SIGTERM and waits until it is gone.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop(&self, daemon: Daemon) -> Result<()> {
        self.inner.ovs.end(daemon, Signal::SIGTERM)
    }

    /// Starts a daemon that was ended; returns when it answers. The taps of a userspace switch go with it,
    /// so the underlay gets its addresses again, as the host's network service would do.
    ///
    /// # Errors
    /// It still runs, or does not start.
    pub fn start(&self, daemon: Daemon) -> Result<()> {
        self.inner.ovs.start(daemon)?;
        if daemon == Daemon::Vswitchd {
            self.configure_underlay()?;
            self.tell_neighbours()?;
        }
        Ok(())
    }

    /// A tap on the underlay port: every frame the hypervisor sends to or gets from the tunnel network.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn underlay_tap(&self, direction: Direction) -> Result<Nic> {
        Nic::open(self.netns(), "tun0", direction)
    }

    /// A tap on the provider port (VLAN and flat networks). VLAN tags are whole in frames going
    /// [`Direction::Out`]; the kernel takes the outer tag off those coming in.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn provider_tap(&self, direction: Direction) -> Result<Nic> {
        Nic::open(self.netns(), "ex0", direction)
    }

    /// Makes br-int (userspace datapath, secure) unless it exists, as a host's installer would.
    ///
    /// # Errors
    /// The switch refuses.
    pub fn ensure_br_int(&self) -> Result<()> {
        if self.ovs_vsctl(&["list-br"])?.lines().all(|bridge| bridge != "br-int") {
            self.ovs_vsctl(&[
                "--may-exist",
                "add-br",
                "br-int",
                "--",
                "set",
                "bridge",
                "br-int",
                "datapath_type=netdev",
                "fail_mode=secure",
            ])?;
        }
        Ok(())
    }

    /// br-phys carries the tunnels, br-ex the VLAN and flat networks. Both switch by MAC (NORMAL), which is
    /// what an operator's provider bridge does before any controller touches it.
    fn create_bridges(&self) -> Result<()> {
        let name = self.name();
        let (id, host) = (format!("external_ids:system-id={name}"), format!("external_ids:hostname={name}"));
        let mac = format!("other-config:hwaddr={}", self.underlay_mac());
        let mtu = format!("mtu_request={}", self.inner.underlay_mtu);
        self.ovs_vsctl(&[
            "set",
            "open_vswitch",
            ".",
            &id,
            &host,
            "--",
            "add-br",
            "br-phys",
            "--",
            "set",
            "bridge",
            "br-phys",
            "datapath_type=netdev",
            &mac,
            "--",
            "add-port",
            "br-phys",
            "tun0",
            "--",
            "set",
            "interface",
            "br-phys",
            &mtu,
            "--",
            "add-br",
            "br-ex",
            "--",
            "set",
            "bridge",
            "br-ex",
            "datapath_type=netdev",
            "--",
            "add-port",
            "br-ex",
            "ex0",
            "--",
            "set",
            "interface",
            "br-ex",
            &mtu,
        ])?;
        Ok(())
    }

    fn configure_underlay(&self) -> Result<()> {
        self.netns().sysctl("ipv6/conf/br-phys/disable_ipv6", "0")?;
        self.netns().ip(&format!(
            "addr replace {}/24 dev br-phys\naddr replace {}/64 dev br-phys nodad\nlink set br-phys up\n",
            self.vtep4(),
            self.vtep6()
        ))
    }

    /// Tells the switch where the tunnel endpoints of `all` are. Otherwise its first packet to each of them
    /// waits for an ARP answer and is lost, and counting packets would be no test.
    pub(crate) fn learn_neighbours(&self, all: &[Self]) -> Result<()> {
        let others = all.iter().filter(|one| one.inner.number != self.inner.number).map(Self::vtep).collect();
        *self.inner.neighbours.lock().unwrap_or_else(PoisonError::into_inner) = others;
        self.tell_neighbours()
    }

    fn tell_neighbours(&self) -> Result<()> {
        let others = self.inner.neighbours.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for Vtep { mac, v4, v6 } in others {
            self.ovs_appctl(&["tnl/neigh/set", "br-phys", &v4.to_string(), &mac.to_string()])?;
            self.ovs_appctl(&["tnl/neigh/set", "br-phys", &v6.to_string(), &mac.to_string()])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Hypervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hypervisor").field(&self.inner.netns.name()).finish()
    }
}
