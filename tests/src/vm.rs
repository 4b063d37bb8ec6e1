//! A virtual machine: a namespace with one interface, plugged into a hypervisor's br-int.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use ipnet::IpNet;
use packet::MacAddr;

use crate::hypervisor::Hypervisor;
use crate::lab::Lab;
use crate::netns::Netns;
use crate::nic::{Direction, Nic};

/// What a VM shall be.
#[derive(Debug, Clone)]
pub struct VmSpec {
    /// Unique in the lab; at most 11 characters, since `tap-NAME` is an interface.
    pub name: String,
    /// The logical port: `external_ids:iface-id` of the interface in br-int.
    pub port_id: String,
    /// Address of its interface.
    pub mac: MacAddr,
    /// Its IP addresses with prefix lengths, IPv4 and IPv6.
    pub addresses: Vec<IpNet>,
    /// Default gateways, at most one per family.
    pub gateways: Vec<IpAddr>,
    /// MTU of its interface in octets.
    pub mtu: u32,
    /// True: the guest has no IP stack and says nothing by itself; only a [`Nic`] speaks for it.
    pub silent: bool,
    /// True: IPv6 addresses go through duplicate address detection (RFC 4862, 5.4).
    pub dad: bool,
}

impl VmSpec {
    /// A VM whose port id is its name, with the MTU that fits VXLAN over IPv6 in 1500 octets.
    ///
    /// # Errors
    /// An address or the MAC cannot be read.
    pub fn new(name: &str, mac: &str, addresses: &[&str], gateways: &[&str]) -> Result<Self> {
        let addresses = addresses
            .iter()
            .map(|text| text.parse().with_context(|| format!("address \"{text}\" of {name}")));
        let gateways =
            gateways.iter().map(|text| text.parse().with_context(|| format!("gateway \"{text}\" of {name}")));
        Ok(Self {
            name: name.into(),
            port_id: name.into(),
            mac: mac.parse()?,
            addresses: addresses.collect::<Result<_>>()?,
            gateways: gateways.collect::<Result<_>>()?,
            mtu: 1430,
            silent: false,
            dad: false,
        })
    }
}

/// A virtual machine. Its namespace and addresses stay while it moves from host to host.
#[derive(Debug)]
pub struct Vm {
    spec: VmSpec,
    netns: Netns,
    /// The hypervisor it is plugged into.
    host: Mutex<Option<Hypervisor>>,
}

impl Vm {
    pub(crate) fn create(lab: &Lab, spec: VmSpec) -> Result<Self> {
        ensure!(spec.name.len() <= 11, "VM name \"{}\" is longer than 11 characters", spec.name);
        let netns = lab.netns(&spec.name)?;
        // Solicitations for routers that do not exist are frames that no test asked for.
        netns.sysctl("ipv6/conf/default/router_solicitations", "0")?;
        netns.sysctl("ipv6/conf/default/accept_ra", "0")?;
        netns.sysctl("ipv6/conf/default/accept_dad", if spec.dad { "1" } else { "0" })?;
        netns.sysctl("ipv6/conf/default/disable_ipv6", if spec.silent { "1" } else { "0" })?;
        let vm = Self { spec, netns, host: Mutex::default() };
        vm.create_interface()?;
        Ok(vm)
    }

    fn create_interface(&self) -> Result<()> {
        let VmSpec { mac, mtu, silent, .. } = &self.spec;
        let (tap, arp) = (self.tap(), if *silent { "off" } else { "on" });
        let mut batch = format!(
            "link add eth0 address {mac} mtu {mtu} type veth peer name {tap} mtu {mtu}\n\
             link set eth0 arp {arp}\nlink set eth0 up\n"
        );
        if !silent {
            for address in &self.spec.addresses {
                let nodad = if self.spec.dad || address.addr().is_ipv4() { "" } else { " nodad" };
                batch += &format!("addr add {address} dev eth0{nodad}\n");
            }
            for gateway in &self.spec.gateways {
                // The interface has no carrier yet, so the kernel cannot check that the gateway is reachable.
                batch += &format!("route add default via {gateway} dev eth0 onlink\n");
            }
        }
        self.netns.ip(&batch)?;
        // The netdev datapath moves frames as they are: a checksum left to the hardware would stay empty.
        for interface in ["eth0", &tap] {
            self.netns.exec("ethtool", &["-K", interface, "tx", "off"])?;
        }
        Ok(())
    }

    /// What it was made as.
    pub fn spec(&self) -> &VmSpec {
        &self.spec
    }

    /// Its name in the lab.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Address of its interface.
    pub fn mac(&self) -> MacAddr {
        self.spec.mac
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its first IPv4 address.
    ///
    /// # Errors
    /// It has none.
    pub fn v4(&self) -> Result<IpAddr> {
        let mut all = self.spec.addresses.iter().map(IpNet::addr);
        all.find(IpAddr::is_ipv4).with_context(|| format!("{} has no IPv4 address", self.name()))
    }

    /// Its first IPv6 address.
    ///
    /// # Errors
    /// It has none.
    pub fn v6(&self) -> Result<IpAddr> {
        let mut all = self.spec.addresses.iter().map(IpNet::addr);
        all.find(IpAddr::is_ipv6).with_context(|| format!("{} has no IPv6 address", self.name()))
    }

    /// Name of the host end of its interface.
    pub fn tap(&self) -> String {
        format!("tap-{}", self.spec.name)
    }

    /// The hypervisor it is attached to.
    pub fn host(&self) -> Option<Hypervisor> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Plugs it into `host`'s br-int (made if need be), as a hypervisor does when it starts a guest.
    ///
    /// # Errors
    /// It is attached already, or the switch refuses.
    pub fn attach(&self, host: &Hypervisor) -> Result<()> {
        let mut place = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(place.is_none(), "{} is attached already", self.name());
        host.ensure_br_int()?;
        let tap = self.tap();
        self.netns.ip(&format!("link set {tap} netns {}", host.netns().name()))?;
        host.netns().ip(&format!("link set {tap} up"))?;
        host.ovs_vsctl(&[
            "add-port",
            "br-int",
            &tap,
            "--",
            "set",
            "interface",
            &tap,
            &format!("external_ids:iface-id={}", self.spec.port_id),
            &format!("external_ids:attached-mac=\"{}\"", self.mac()),
        ])?;
        *place = Some(host.clone());
        Ok(())
    }

    /// Unplugs it: the port goes from br-int and the guest loses its carrier.
    ///
    /// # Errors
    /// It is not attached, or the switch refuses.
    pub fn detach(&self) -> Result<()> {
        let mut place = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        let host = place.take().with_context(|| format!("{} is not attached", self.name()))?;
        host.ovs_vsctl(&["del-port", "br-int", &self.tap()])?;
        host.netns().ip(&format!("link set {} netns {}", self.tap(), self.netns.name()))
    }

    /// Moves it to another hypervisor: off here, on there, the guest's interface and sockets untouched.
    ///
    /// # Errors
    /// As [`Vm::detach`] and [`Vm::attach`].
    pub fn move_to(&self, host: &Hypervisor) -> Result<()> {
        self.detach()?;
        self.attach(host)
    }

    /// Raw frames at the guest's end of its interface.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn nic(&self) -> Result<Nic> {
        Nic::open(&self.netns, "eth0", Direction::In)
    }
}
