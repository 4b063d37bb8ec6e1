//! A frame cut into layers, with every length checked once. The cuts are those of Open vSwitch's flow extraction
//! (`lib/flow.c`), so that what we read is what the switch matches.

use crate::MacAddr;
use crate::header::{
    EthernetHeader, Fragment, FragmentHeader, Ipv4Header, Ipv6Header, VlanHeader, ethertype, protocol,
};
use zerocopy::FromBytes;

/// Why bytes are not the packet they claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than the header has.
    #[error("{layer} header is cut off: {have} bytes")]
    CutOff {
        /// The header that does not fit.
        layer: &'static str,
        /// Bytes there are.
        have: usize,
    },
    /// A length field that contradicts the bytes there are or the header itself.
    #[error("{layer} length field says {says} bytes, there are {have}")]
    Length {
        /// The header with the field.
        layer: &'static str,
        /// The length claimed.
        says: usize,
        /// Bytes there are.
        have: usize,
    },
    /// The version is not the one the EtherType announced.
    #[error("{layer} header has version {version}")]
    Version {
        /// The header with the field.
        layer: &'static str,
        /// The version claimed.
        version: u8,
    },
    /// The header's checksum is wrong.
    #[error("ipv4 header checksum {0:#06x} is wrong")]
    Checksum(u16),
}

/// An 802.1Q or 802.1ad tag with its TPID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    /// [`ethertype::VLAN`] or [`ethertype::QINQ`].
    pub tpid: u16,
    /// Priority, drop eligible bit and VLAN id.
    pub tci: u16,
}

/// An Ethernet frame: addresses, at most one tag, and what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Destination address.
    pub dst: MacAddr,
    /// Source address.
    pub src: MacAddr,
    /// The outermost tag. A second one stays in the payload, as with Open vSwitch's default `vlan-limit` of 1.
    pub tag: Option<Tag>,
    /// Type of the payload; [`ethertype::NONE`] for 802.2 frames without an EtherType.
    pub ethertype: u16,
    /// What follows, with any padding.
    pub payload: &'a [u8],
    /// Where the payload begins in the frame.
    pub payload_offset: usize,
}

impl<'a> Frame<'a> {
    /// Cuts a frame (without FCS).
    ///
    /// # Errors
    /// [`Malformed::CutOff`] below 14 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, mut payload) = EthernetHeader::ref_from_prefix(bytes)
            .map_err(|_| Malformed::CutOff { layer: "ethernet", have: bytes.len() })?;
        let mut ethertype = header.ethertype.get();
        let mut tag = None;
        if matches!(ethertype, ethertype::VLAN | ethertype::QINQ)
            && let Ok((vlan, rest)) = VlanHeader::ref_from_prefix(payload)
        {
            tag = Some(Tag { tpid: ethertype, tci: vlan.tci.get() });
            (ethertype, payload) = (vlan.ethertype.get(), rest);
        }
        if ethertype < ethertype::MIN {
            (ethertype, payload) = snap(payload);
        }
        let payload_offset = bytes.len() - payload.len();
        Ok(Self { dst: header.dst, src: header.src, tag, ethertype, payload, payload_offset })
    }
}

/// The EtherType within 802.2 LLC and SNAP of the Ethernet organisation (RFC 1042), and what follows.
fn snap(payload: &[u8]) -> (u16, &[u8]) {
    match payload {
        [0xaa, 0xaa, 0x03, 0, 0, 0, high, low, rest @ ..] => {
            let kind = u16::from_be_bytes([*high, *low]);
            (if kind < ethertype::MIN { ethertype::NONE } else { kind }, rest)
        }
        _ => (ethertype::NONE, payload),
    }
}

/// An IPv4 packet whose lengths are consistent. Version and checksum are not judged: see [`Ipv4Packet::validate`].
#[derive(Debug, Clone, Copy)]
pub struct Ipv4Packet<'a> {
    /// The fixed header.
    pub header: &'a Ipv4Header,
    /// The packet from the first byte of its header, without what pads the frame.
    pub bytes: &'a [u8],
    /// What follows the header and its options.
    pub payload: &'a [u8],
}

impl<'a> Ipv4Packet<'a> {
    /// Cuts a packet; bytes beyond its total length are padding.
    ///
    /// # Errors
    /// [`Malformed::CutOff`] or [`Malformed::Length`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let have = bytes.len();
        let (header, _) =
            Ipv4Header::ref_from_prefix(bytes).map_err(|_| Malformed::CutOff { layer: "ipv4", have })?;
        let (header_len, total) = (header.header_len(), usize::from(header.total_len.get()));
        if header_len < Ipv4Header::LEN || header_len > have {
            return Err(Malformed::Length { layer: "ipv4 header", says: header_len, have });
        }
        let wrong = Malformed::Length { layer: "ipv4", says: total, have };
        let bytes = bytes.get(..total).ok_or(wrong)?;
        let payload = bytes.get(header_len..).ok_or(wrong)?;
        Ok(Self { header, bytes, payload })
    }

    /// The tests a router makes before it acts on a packet (RFC 1812, section 5.2.2) beyond the lengths.
    ///
    /// # Errors
    /// [`Malformed::Version`] or [`Malformed::Checksum`].
    pub fn validate(&self) -> Result<(), Malformed> {
        if self.header.version() != 4 {
            return Err(Malformed::Version { layer: "ipv4", version: self.header.version() });
        }
        let header = self.bytes.get(..self.header.header_len()).unwrap_or(self.bytes);
        if crate::checksum::internet(header) != 0 {
            return Err(Malformed::Checksum(self.header.checksum.get()));
        }
        Ok(())
    }
}

/// An IPv6 packet whose length is consistent. The version is not judged.
#[derive(Debug, Clone, Copy)]
pub struct Ipv6Packet<'a> {
    /// The fixed header.
    pub header: &'a Ipv6Header,
    /// The packet from the first byte of its header, without what pads the frame.
    pub bytes: &'a [u8],
    /// What follows the fixed header: extension headers first.
    pub payload: &'a [u8],
}

/// Where the walk over IPv6 extension headers ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperLayer<'a> {
    /// The protocol found; [`protocol::FRAGMENT`] for a later fragment, where nobody can know.
    pub protocol: u8,
    /// Which part of a datagram this is.
    pub fragment: Fragment,
    /// What follows the last extension header.
    pub payload: &'a [u8],
    /// Offset, from the start of the packet, of the byte that names `protocol`.
    pub named_at: usize,
}

impl<'a> Ipv6Packet<'a> {
    /// Cuts a packet; bytes beyond its payload length are padding.
    ///
    /// # Errors
    /// [`Malformed::CutOff`] or [`Malformed::Length`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let have = bytes.len();
        let (header, rest) =
            Ipv6Header::ref_from_prefix(bytes).map_err(|_| Malformed::CutOff { layer: "ipv6", have })?;
        let says = usize::from(header.payload_len.get());
        let wrong = Malformed::Length { layer: "ipv6", says, have: rest.len() };
        let payload = rest.get(..says).ok_or(wrong)?;
        let bytes = bytes.get(..Ipv6Header::LEN + says).ok_or(wrong)?;
        Ok(Self { header, bytes, payload })
    }

    /// Walks the extension headers (RFC 8200, section 4). Each takes at least 8 bytes, so the walk is bounded by the
    /// payload length: 8191 steps for the longest packet.
    ///
    /// # Errors
    /// [`Malformed::CutOff`] if a header does not fit into the packet.
    pub fn upper_layer(&self) -> Result<UpperLayer<'a>, Malformed> {
        let mut payload = self.payload;
        let mut protocol = self.header.next_header;
        let mut fragment = Fragment::Whole;
        let mut named_at = 6;
        loop {
            let unit = match protocol {
                protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => 8,
                protocol::AH => 4, // RFC 4302, section 2.2
                protocol::FRAGMENT => 0,
                _ => return Ok(UpperLayer { protocol, fragment, payload, named_at }),
            };
            let cut_off = Malformed::CutOff { layer: "ipv6 extension", have: payload.len() };
            let (head, after) = FragmentHeader::ref_from_prefix(payload).map_err(|_| cut_off)?;
            let next_named_at = self.bytes.len() - payload.len();
            if unit == 0 {
                // A later atomic fragment header does not undo an earlier one, as in Open vSwitch.
                if head.fragment() != Fragment::Whole {
                    fragment = head.fragment();
                }
                payload = after;
                if fragment == Fragment::Later {
                    return Ok(UpperLayer { protocol, fragment, payload, named_at });
                }
            } else {
                // The second byte of every other extension header is its length.
                let len = if unit == 8 {
                    (usize::from(head.reserved) + 1) * 8
                } else {
                    (usize::from(head.reserved) + 2) * 4
                };
                payload = payload.get(len..).ok_or(cut_off)?;
            }
            (protocol, named_at) = (head.next_header, next_named_at);
        }
    }
}
