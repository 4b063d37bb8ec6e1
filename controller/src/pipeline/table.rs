//! The tables, in the order in which a packet meets them.

use openflow::TableId;
use std::fmt;

/// Which device of the logical topology a table stands for, in the words of OVN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A logical switch, where the packet comes in.
    SwitchIngress,
    /// A logical router, where the packet comes in.
    RouterIngress,
    /// A logical router, where it leaves.
    RouterEgress,
    /// A logical switch, where the packet leaves.
    SwitchEgress,
}

/// What becomes of a packet that no flow of a table matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It is dropped, which is what OpenFlow 1.3 does without a flow.
    Drop,
    /// It goes on there.
    Goto(Table),
}

macro_rules! tables {
    ($($(#[doc = $doc:literal])+ $variant:ident = $id:literal, $name:literal, $stage:ident, $miss:expr;)+) => {
        /// The tables, in the order in which a packet meets them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[doc = $doc])+ $variant = $id,)+
        }

        impl Table {
            /// Every table in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in dumps.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it is for, in a sentence.
            pub const fn purpose(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }

            /// Which logical device it is part of.
            pub const fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage,)+ }
            }

            /// What happens to a packet that no flow matches.
            pub const fn miss(self) -> Miss {
                match self { $(Self::$variant => $miss,)+ }
            }
        }
    };
}

tables! {
    /// Which network a packet belongs to, by port and MAC, by tunnel key, or by VLAN.
    LsInAdmission = 0, "ls_in_admission", SwitchIngress, Miss::Drop;
    /// Port security: may this port send from this address?
    LsInPortSecIp = 1, "ls_in_port_sec_ip", SwitchIngress, Miss::Drop;
    /// Port security of neighbour discovery, after the IPv6 source was found good.
    LsInPortSecNd = 2, "ls_in_port_sec_nd", SwitchIngress, Miss::Goto(Table::LsInArpNdRsp);
    /// ARP requests and neighbour solicitations for known addresses are answered here.
    LsInArpNdRsp = 3, "ls_in_arp_nd_rsp", SwitchIngress, Miss::Goto(Table::LrInAdmission);
    /// Packets for a router's MAC enter the router.
    LrInAdmission = 4, "lr_in_admission", RouterIngress, Miss::Goto(Table::LsInL2Lkup);
    /// Packets for the router itself, and those that may not go further.
    LrInIpInput = 5, "lr_in_ip_input", RouterIngress, Miss::Goto(Table::LrInIpRouting);
    /// Longest prefix; a hit rewrites the packet for its next hop.
    LrInIpRouting = 6, "lr_in_ip_routing", RouterIngress, Miss::Drop;
    /// Is the packet too big for the network it goes to?
    LrInChkPktLen = 7, "lr_in_chk_pkt_len", RouterIngress, Miss::Goto(Table::LsInL2Lkup);
    /// Acts on the answer.
    LrInLargerPkts = 8, "lr_in_larger_pkts", RouterIngress, Miss::Goto(Table::LsInL2Lkup);
    /// Where a MAC is: a local port, a tunnel, or everybody.
    LsInL2Lkup = 9, "ls_in_l2_lkup", SwitchIngress, Miss::Drop;
    /// Slices of a network's ports and of its tunnels, for copies to everybody.
    LsOutFlood = 10, "ls_out_flood", SwitchEgress, Miss::Drop;
    /// Out to a physical network, tagged if it is a VLAN.
    LsOutProvider = 11, "ls_out_provider", SwitchEgress, Miss::Drop;
    /// Turns the ARP request or solicitation into its answer and sends it back.
    LsOutArpNdRsp = 12, "ls_out_arp_nd_rsp", SwitchEgress, Miss::Drop;
    /// The solicitation is an advertisement now, and only so may its link-layer option be written.
    LsOutNdAdvert = 13, "ls_out_nd_advert", SwitchEgress, Miss::Drop;
    /// Out of a local port.
    LsOutPort = 14, "ls_out_port", SwitchEgress, Miss::Drop;
    /// ICMP errors: filtered, rate limited, then made by the controller.
    LrOutIcmpError = 15, "lr_out_icmp_error", RouterEgress, Miss::Drop;
}

impl Table {
    /// Its number in the switch.
    pub const fn id(self) -> TableId {
        TableId(self as u8)
    }

    /// The table of a number.
    pub fn from_id(id: TableId) -> Option<Self> {
        Self::ALL.get(usize::from(id.0)).copied()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// A goto may only go forward (OpenFlow 1.3.5, 5.1), and `from_id` counts on dense numbers.
const _: () = {
    let mut at = 0;
    while at < Table::ALL.len() {
        #[expect(clippy::indexing_slicing, reason = "bounded by the loop, at compile time")]
        let table = Table::ALL[at];
        assert!(table as usize == at, "table numbers are dense and in order");
        if let Miss::Goto(next) = table.miss() {
            assert!(next as usize > at, "a goto goes forward");
        }
        at += 1;
    }
};
