//! The records of the image: `docs/fib-format.md` in types. All numbers are little-endian, nothing is aligned.
#![expect(missing_debug_implementations, reason = "of the hidden types that zerocopy derives for each field")]

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first eight bytes of an image.
pub const MAGIC: [u8; 8] = *b"DFLOWFIB";
/// The version of this layout.
pub const VERSION: u16 = 1;
/// Number of sections: VRFs, IPv4 routes, IPv6 routes, adjacencies, groups, members.
pub const SECTIONS: usize = 6;
/// "No parent" in a route.
pub const NONE: u32 = u32::MAX;

/// Kinds of a next value: its upper two bits. The other 30 are the argument.
pub mod next {
    /// Argument: index of an adjacency.
    pub const ADJACENCY: u32 = 0;
    /// Argument: index of a group.
    pub const ECMP: u32 = 1;
    /// Argument: [`BLACKHOLE`] or [`UNREACHABLE`].
    pub const DROP: u32 = 2;
    /// Argument: id of the VRF.
    pub const OTHER_VRF: u32 = 3;
    /// Drop silently.
    pub const BLACKHOLE: u32 = 0;
    /// Drop, and tell the sender.
    pub const UNREACHABLE: u32 = 1;
    /// Bits of the argument.
    pub const ARGUMENT_BITS: u32 = 30;
}

/// Kinds of an adjacency's egress.
pub mod egress {
    /// A port of the chassis.
    pub const LOCAL: u8 = 1;
    /// Another chassis.
    pub const TUNNEL: u8 = 2;
    /// A physical network.
    pub const VLAN: u8 = 3;
}

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
    /// Where a section is.
    Section, 8 {
        /// First byte, from the start of the image.
        offset: U32,
        /// Number of records.
        count: U32,
    }
}
record! {
    /// The start of the image.
    Header, 96 {
        /// [`MAGIC`].
        magic: [u8; 8],
        /// [`VERSION`].
        version: U16,
        /// Size of this header.
        header_len: U16,
        /// [`SECTIONS`].
        section_count: U32,
        /// Size of the image.
        total_len: U64,
        /// FNV-1a, 64 bits, of all bytes behind this field.
        checksum: U64,
        /// Generation, counted by the writer.
        epoch: U64,
        /// Seed of the flow hash.
        hash_seed: U64,
        /// VRFs, IPv4 routes, IPv6 routes, adjacencies, groups, members; each begins where the one before ends.
        sections: [Section; SECTIONS],
    }
}
record! {
    /// A VRF: its share of the two route sections. Ordered by id.
    VrfRecord, 20 {
        /// 1 to 2^24 - 1.
        vrf: U32,
        /// Index of its first IPv4 route.
        v4_first: U32,
        /// Number of its IPv4 routes.
        v4_count: U32,
        /// Index of its first IPv6 route.
        v6_first: U32,
        /// Number of its IPv6 routes.
        v6_count: U32,
    }
}
record! {
    /// An IPv4 route. Ordered, within its VRF, by address and length.
    Route4, 16 {
        /// First address, as a number.
        addr: U32,
        /// Index, within the VRF, of the longest prefix that contains this one; [`NONE`].
        parent: U32,
        /// Where it leads: see [`next`].
        next: U32,
        /// Prefix length.
        len: u8,
        /// Zero.
        reserved: [u8; 3],
    }
}
record! {
    /// An IPv6 route. Ordered, within its VRF, by address and length.
    Route6, 28 {
        /// First address, as a number.
        addr: U128,
        /// Index, within the VRF, of the longest prefix that contains this one; [`NONE`].
        parent: U32,
        /// Where it leads: see [`next`].
        next: U32,
        /// Prefix length.
        len: u8,
        /// Zero.
        reserved: [u8; 3],
    }
}
record! {
    /// A neighbour. Ordered by id.
    AdjacencyRecord, 48 {
        /// The writer's name for it, below 2^30.
        id: U32,
        /// Longest IP packet, in bytes.
        mtu: U16,
        /// One of [`egress`].
        egress: u8,
        /// Encapsulation: 1 VXLAN, 2 Geneve, 3 GRE; 0 without.
        tunnel: u8,
        /// The neighbour's MAC address.
        dst_mac: [u8; 6],
        /// The router's MAC address.
        src_mac: [u8; 6],
        /// Port of the chassis or uplink; 0 for tunnels.
        port: U32,
        /// VNI or VLAN id; 0 without.
        segment: U32,
        /// The neighbour's network.
        network: U32,
        /// Address of the other chassis in network order, IPv4 as IPv4-mapped; 0 without.
        vtep: [u8; 16],
    }
}
record! {
    /// A group: its share of the member section. Ordered by id.
    GroupRecord, 12 {
        /// The writer's name for it, below 2^30.
        id: U32,
        /// Index of its first member.
        first: U32,
        /// Number of its members, at least 1.
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

/// FNV-1a with 64 bits (RFC 9923): against truncation and rot, not against a forger; a forged image is still walked
/// within its bounds.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Size of [`Header`] as the header itself says it.
pub(crate) const HEADER_LEN: u16 = 96;
const _: () = assert!(size_of::<Header>() == HEADER_LEN as usize, "one size");

/// The bytes the checksum covers: all behind its field.
pub(crate) const CHECKED_FROM: usize = core::mem::offset_of!(Header, epoch);

/// Writes the checksum of an image into it; does nothing to bytes too short to be one. For writers and tests.
pub fn seal(image: &mut [u8]) {
    let sum = image.get(CHECKED_FROM..).map(checksum);
    if let Some(sum) = sum
        && let Ok((header, _)) = Header::mut_from_prefix(image)
    {
        header.checksum = sum.into();
    }
}
