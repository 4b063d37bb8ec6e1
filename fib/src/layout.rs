//! The records of the image: `docs/fib-format.md` in types. All numbers are little-endian; every record is aligned to
//! its size or to 64 bytes, every field to its own size, counted from the start of the image.
#![expect(missing_debug_implementations, reason = "of the hidden types that zerocopy derives for each field")]

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first eight bytes of an image.
pub const MAGIC: [u8; 8] = *b"DFLOWFIB";
/// The version of this layout.
pub const VERSION: u16 = 2;
/// What offsets count in.
pub const UNIT: usize = 64;
/// Images are smaller than 2^29 bytes, so that an offset in units has 23 bits.
pub const MAX_UNITS: u32 = 1 << 23;
/// Room for sections in the header; those behind [`section::COUNT`] are zero.
pub const SECTION_SLOTS: usize = 16;

/// Which section is where in [`Header::sections`].
pub mod section {
    /// [`super::Bucket`]s: (domain, IPv4 address) to word.
    pub const HOSTS4: usize = 0;
    /// [`super::Bucket6`]s: (domain, IPv6 address) to word.
    pub const HOSTS6: usize = 1;
    /// [`super::Bucket`]s: how a packet comes in to a port, network or domain index.
    pub const INGRESS: usize = 2;
    /// [`super::Bucket`]s: (network index, MAC address) to word.
    pub const STATIONS: usize = 3;
    /// [`super::Bucket`]s: (port index, MAC address) to the index of the domain of its addresses.
    pub const BINDINGS: usize = 4;
    /// [`super::Domain`]s; index 0 is none.
    pub const DOMAINS: usize = 5;
    /// [`super::AdjacencyRecord`]s.
    pub const ADJACENCIES: usize = 6;
    /// Offsets of [`super::GroupRecord`]s, a u32 each.
    pub const GROUPS: usize = 7;
    /// [`super::EgressRecord`]s.
    pub const EGRESSES: usize = 8;
    /// [`super::PortRecord`]s; index 0 is none.
    pub const PORTS: usize = 9;
    /// [`super::NetworkRecord`]s; index 0 is none.
    pub const NETWORKS: usize = 10;
    /// [`super::RouterPortRecord`]s.
    pub const ROUTER_PORTS: usize = 11;
    /// Units of trees, wide tables and groups.
    pub const POOL: usize = 12;
    /// Number of sections.
    pub const COUNT: usize = 13;
}

/// Words: what a lookup step gives, in 32 bits.
pub mod word {
    /// Bits of the kind, the uppermost.
    pub const KIND_SHIFT: u32 = 29;
    /// Where the prefix length, less one, stands in words that end a lookup.
    pub const LENGTH_SHIFT: u32 = 22;
    /// The argument of words that end a lookup.
    pub const ARGUMENT_MASK: u32 = (1 << LENGTH_SHIFT) - 1;
    /// Where the number of levels stands in a [`TREE`].
    pub const LEVELS_SHIFT: u32 = 26;
    /// The offset, in units, of [`TREE`], [`WIDE`] and [`CHUNK`].
    pub const OFFSET_MASK: u32 = super::MAX_UNITS - 1;

    /// Argument: one of [`NONE`], [`BLACKHOLE`], [`UNREACHABLE`], [`ALLOW`].
    pub const SPECIAL: u32 = 0;
    /// Argument: index of an adjacency.
    pub const ADJACENCY: u32 = 1;
    /// Argument: index of a group.
    pub const GROUP: u32 = 2;
    /// Argument: index of the domain to look up in next.
    pub const OTHER: u32 = 3;
    /// Argument: index of a router port: the router itself.
    pub const ROUTER: u32 = 4;
    /// The root of a tree, which consumes 32 bits of the address.
    pub const TREE: u32 = 5;
    /// A wide table, which consumes 24 bits of the address.
    pub const WIDE: u32 = 6;
    /// A chunk; only in the directory of a wide table.
    pub const CHUNK: u32 = 7;

    /// No route: the domain's default decides. The whole word is 0.
    pub const NONE: u32 = 0;
    /// Drop silently.
    pub const BLACKHOLE: u32 = 1;
    /// Drop, and tell the sender.
    pub const UNREACHABLE: u32 = 2;
    /// Accepted: a source that is allowed, an address where tunnels end.
    pub const ALLOW: u32 = 3;

    /// Most levels of a tree.
    pub const MAX_LEVELS: u32 = 5;
}

/// Kinds of an ingress key: its upper eight bits.
pub mod ingress {
    /// Interface index to port index.
    pub const IFINDEX: u64 = 1;
    /// OpenFlow port number to port index.
    pub const OFPORT: u64 = 2;
    /// Encapsulation `<< 24 |` VNI to network index.
    pub const TUNNEL: u64 = 3;
    /// Port index of the uplink `<< 12 |` VLAN id, 0 for untagged, to network index.
    pub const VLAN: u64 = 4;
    /// VRF id to domain index.
    pub const VRF: u64 = 5;
    /// Where the kind stands.
    pub const KIND_SHIFT: u32 = 56;
}

/// Kinds of an egress.
pub mod egress {
    /// A port of the chassis.
    pub const LOCAL: u8 = 1;
    /// Another chassis.
    pub const TUNNEL: u8 = 2;
    /// A physical network.
    pub const VLAN: u8 = 3;
}

/// Kinds of a domain.
pub mod domain {
    /// Routes of a VRF; the id is the VRF's.
    pub const VRF: u32 = 1;
    /// Who answers ARP and ND for which address on a network; the id is the network's key.
    pub const NETWORK: u32 = 2;
    /// Source addresses that a port may use with one MAC; the id is the port's key.
    pub const BINDING: u32 = 3;
    /// Addresses of tunnel ends; the id is 0.
    pub const UNDERLAY: u32 = 4;
}

/// Flags of ports, networks, router ports and egresses.
pub mod flag {
    /// The slow path decides everything here.
    pub const SLOW: u32 = 1;
    /// Port: source addresses are checked against the bindings.
    pub const SECURED: u32 = 2;
    /// Port: an uplink; the VLAN tells the network, the port's domain the tunnel ends.
    pub const UPLINK: u32 = 4;
}

/// [`Header::flags`]: no deltas since the checksums were written.
pub const SEALED: u32 = 1;
/// Flag of a domain's number, where a packet's domain is given: none of its hosts are in buckets.
pub const PREFIXES_ONLY: u32 = 1 << 31;
/// The flag byte of a used slot's key in [`Bucket`]s of hosts and in [`Bucket6`].
pub const USED: u32 = 1;

macro_rules! record {
    ($(#[$doc:meta])* $name:ident, $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        const _: () = assert!(size_of::<$name>() == $size, "the size is part of the format");

        impl $name {
            /// Name, offset and size of every field: what the format's page is checked against.
            pub const FIELDS: &[(&str, usize, usize)] =
                &[$((stringify!($field), core::mem::offset_of!(Self, $field), size_of::<$type>()),)*];
        }
    };
}

record! {
    /// Where a section is: one aligned 64-bit word, so that a section moves with one store.
    Section, 8 {
        /// First unit.
        offset: U32,
        /// Number of records; of the pool, number of units.
        count: U32,
    }
}
record! {
    /// The start of the image.
    Header, 320 {
        /// [`MAGIC`].
        magic: [u8; 8],
        /// [`VERSION`].
        version: U16,
        /// Size of this header.
        header_len: U16,
        /// [`SEALED`] or 0.
        flags: U32,
        /// Size of the image in units.
        units: U32,
        /// [`section::COUNT`].
        section_count: U32,
        /// Generation, counted by the writer: one more for every delta.
        epoch: U64,
        /// Seed of the flow hash: one for all chassis.
        flow_seed: U64,
        /// Seed of the bucket hash: secret, of this image.
        table_seed: U64,
        /// Checksum of all other bytes of the header.
        checksum: U64,
        /// Zero.
        reserved: [u8; 8],
        /// By the constants of [`section`].
        sections: [Section; SECTION_SLOTS],
        /// Of the sections.
        checksums: [U64; SECTION_SLOTS],
    }
}
record! {
    /// Five keys with their words.
    Bucket, 64 {
        /// 0 for a free slot.
        keys: [U64; 5],
        /// By slot.
        words: [U32; 5],
        /// How many keys whose home this is are elsewhere.
        overflow: U32,
    }
}
record! {
    /// Two IPv6 hosts with their words.
    Bucket6, 64 {
        /// By slot: upper and lower half, as numbers.
        addrs: [[U64; 2]; 2],
        /// Domain `<< 8 |` [`USED`]; 0 for a free slot.
        tags: [U32; 2],
        /// By slot.
        words: [U32; 2],
        /// How many keys whose home this is are elsewhere.
        overflow: U32,
        /// Zero.
        reserved: [u8; 12],
    }
}
record! {
    /// A set of prefixes in which addresses are looked up.
    Domain, 32 {
        /// IPv4: word of everything that is neither in the hosts' buckets nor the default route.
        root4: U32,
        /// IPv4: word of the default route.
        default4: U32,
        /// IPv6: as [`Self::root4`].
        root6: U32,
        /// IPv6: word of the default route.
        default6: U32,
        /// One of [`domain`]; 0 if free.
        kind: U32,
        /// The writer's name for it.
        id: U32,
        /// Zero.
        reserved: [u8; 8],
    }
}
record! {
    /// A tree's inner node.
    Inner, 64 {
        /// First keys of the children but the first, ascending; those unused are 2^32 - 1.
        starts: [U32; 15],
        /// Offset of the first child, of the 23 lower bits; the others follow it. In the 4 upper bits, the number of
        /// children less one.
        children: U32,
    }
}
record! {
    /// A tree's leaf.
    Leaf, 64 {
        /// First keys of the intervals but the first, ascending; those unused are 2^32 - 1.
        starts: [U32; 7],
        /// Number of intervals, 1 to 8.
        count: U32,
        /// By interval; those unused are copies of the last.
        words: [U32; 8],
    }
}
record! {
    /// 64 values of 24 bits each, run-length coded, in a chunk of a wide table.
    Runs, 16 {
        /// Bit i is set where the word of slot i differs from the one before; bit 0 always.
        starts: U64,
        /// Index, in the chunk's words, of the first run's.
        base: U32,
        /// Zero.
        reserved: [u8; 4],
    }
}
record! {
    /// A neighbour.
    AdjacencyRecord, 32 {
        /// The neighbour's MAC address.
        dst_mac: [u8; 6],
        /// Longest IP packet, in bytes.
        mtu: U16,
        /// The router's MAC address.
        src_mac: [u8; 6],
        /// 1; 0 if it is free, or about to be. Lookups do not need it.
        used: U16,
        /// Index of its egress.
        egress: U32,
        /// VNI or VLAN id; 0 without.
        segment: U32,
        /// The neighbour's network: its key.
        network: U32,
        /// The writer's name for it.
        id: U32,
    }
}
record! {
    /// A group; its members follow.
    GroupRecord, 8 {
        /// The writer's name for it.
        id: U32,
        /// Number of members, 1 to 255.
        count: U32,
    }
}
record! {
    /// A member of a group. Ordered, within its group, by key.
    MemberRecord, 8 {
        /// What the choice goes by.
        key: U32,
        /// Index of its adjacency.
        adjacency: U32,
    }
}
record! {
    /// How packets leave the chassis.
    EgressRecord, 64 {
        /// One of [`egress`].
        kind: u8,
        /// Encapsulation: 1 VXLAN, 2 Geneve, 3 GRE; 0 without.
        tunnel: u8,
        /// Destination UDP port of the encapsulation; 0 without.
        udp_port: U16,
        /// Port or uplink: its key; 0 for tunnels.
        port: U32,
        /// Interface index; 0 if not known.
        ifindex: U32,
        /// OpenFlow port number; 0 if not known.
        ofport: U32,
        /// Address of the other chassis in network order, IPv4 as IPv4-mapped; 0 without.
        remote: [u8; 16],
        /// Address of this chassis; 0 if not known.
        local: [u8; 16],
        /// MAC address of the next hop towards the other chassis; 0 if not known.
        outer_dst: [u8; 6],
        /// MAC address of the interface; 0 if not known.
        outer_src: [u8; 6],
        /// [`flag`]s.
        flags: U32,
    }
}
record! {
    /// A port of the chassis.
    PortRecord, 32 {
        /// The writer's name for it.
        key: U32,
        /// Interface index; 0 if not known.
        ifindex: U32,
        /// OpenFlow port number; 0 if not known.
        ofport: U32,
        /// Index of its network; 0 for an uplink.
        network: U32,
        /// Uplinks: index of the domain of tunnel ends; 0 for none.
        domain: U32,
        /// [`flag`]s.
        flags: U32,
        /// Zero.
        reserved: [u8; 8],
    }
}
record! {
    /// A network.
    NetworkRecord, 32 {
        /// The writer's name for it.
        key: U32,
        /// Index of the domain that answers ARP and ND; 0 for none.
        domain: U32,
        /// Longest IP packet, in bytes.
        mtu: U16,
        /// Zero.
        reserved: [u8; 2],
        /// [`flag`]s.
        flags: U32,
        /// Zero.
        reserved2: [u8; 16],
    }
}
record! {
    /// A router's port on a network.
    RouterPortRecord, 32 {
        /// Its MAC address.
        mac: [u8; 6],
        /// Longest IP packet, in bytes.
        mtu: U16,
        /// Index of its network.
        network: U32,
        /// Number of the VRF's domain, perhaps with [`PREFIXES_ONLY`].
        domain: U32,
        /// The writer's name for it.
        id: U32,
        /// [`flag`]s.
        flags: U32,
        /// Zero.
        reserved: [u8; 8],
    }
}

/// Size of [`Header`] as the header itself says it.
pub const HEADER_LEN: u16 = 320;
const _: () = assert!(size_of::<Header>() == HEADER_LEN as usize, "one size");
/// Entries of a wide table's directory: the first 10 bits of the address.
pub const WIDE_DIRECTORY: usize = 1 << 10;
/// [`Runs`] of a chunk: the next 8 bits; the last 6 of the 24 are the slot.
pub const CHUNK_RUNS: usize = 1 << 8;
/// Units of a chunk's [`Runs`]; its words follow.
pub const CHUNK_UNITS: u32 = 64;

/// The checksum of sections and header: four sums side by side over stripes of 32 bytes; of a last part of a stripe, the
/// rest counts as zero. Against truncation and rot, not against a forger: a forged image is still walked within its
/// bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checksum {
    lanes: [u64; 4],
    len: u64,
}

impl Checksum {
    pub(crate) const fn new(len: usize) -> Self {
        Self { lanes: [1, 2, 3, 4], len: len as u64 }
    }

    #[inline(always)]
    pub(crate) fn stripe(&mut self, words: [u64; 4]) {
        const PRIME: u64 = 0x9e37_79b1_85eb_ca87;
        for (lane, word) in self.lanes.iter_mut().zip(words) {
            *lane = (lane.rotate_left(29) ^ word).wrapping_mul(PRIME);
        }
    }

    pub(crate) fn finish(self) -> u64 {
        self.lanes.iter().fold(self.len, |sum, lane| crate::hash::mix(sum ^ lane))
    }
}

/// The checksum of bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = Checksum::new(bytes.len());
    for stripe in bytes.chunks(32) {
        let mut whole = [0; 32];
        whole.iter_mut().zip(stripe).for_each(|(to, from)| *to = *from);
        let mut words = [0; 4];
        words.iter_mut().zip(whole.as_chunks::<8>().0).for_each(|(to, from)| *to = u64::from_le_bytes(*from));
        sum.stripe(words);
    }
    sum.finish()
}
