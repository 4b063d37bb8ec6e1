//! Packets for property tests, assembled byte by byte, without the code under test.

use bolero::TypeGenerator;

/// A recipe: every choice is an index or a flag, so that each is met often.
#[derive(Debug, Clone, TypeGenerator)]
pub struct Recipe {
    pub v6: bool,
    pub tci: Option<u16>,
    pub eth_dst: u8,
    pub eth_src: u8,
    pub src: u8,
    pub dst: u8,
    pub transport: u8,
    pub icmp_type: u8,
    pub icmp_type_any: bool,
    pub icmp_code: bool,
    pub fragment: u8,
    pub extensions: [u8; 3],
    pub options: u8,
    pub payload: u16,
    pub padding: u8,
    pub tos: u8,
    pub nd_options: [u8; 3],
}

pub const HOST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0a];
pub const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub const ROUTER_V4: [u8; 4] = [10, 0, 0, 1];
pub const ROUTER_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Addresses with "may be answered": sources first, then destinations.
const SRC_V4: [([u8; 4], bool); 8] = [
    ([10, 0, 0, 10], true),
    ([192, 168, 7, 255], true),
    (ROUTER_V4, false),
    ([0, 0, 0, 0], false),
    ([127, 0, 0, 1], false),
    ([224, 0, 0, 5], false),
    ([240, 0, 0, 1], false),
    ([255; 4], false),
];
const DST_V4: [([u8; 4], bool); 5] =
    [([10, 0, 1, 10], true), (ROUTER_V4, true), ([239, 1, 2, 3], false), ([255; 4], false), ([0; 4], false)];
const SRC_V6: [([u8; 16], bool); 6] = [
    ([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10], true),
    ([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10], true),
    (ROUTER_V6, false),
    ([0; 16], false),
    ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], false),
    ([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], false),
];
const DST_V6: [([u8; 16], bool); 3] = [
    ([0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 10], true),
    (ROUTER_V6, true),
    ([0xff, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], false),
];
const ETH_DST: [([u8; 6], bool); 3] =
    [(ROUTER_MAC, true), ([0xff; 6], false), ([0x33, 0x33, 0, 0, 0, 1], false)];
const ETH_SRC: [([u8; 6], bool); 3] = [(HOST_MAC, true), ([0; 6], false), ([1, 0, 0x5e, 0, 0, 1], false)];

/// The ICMP types that are queries, one by one (not the code's ranges).
const QUERIES_V4: [u8; 12] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43];

/// The ICMP types that code treats apart, of both families.
const TELLING_TYPES: [u8; 12] = [135, 136, 135, 136, 137, 128, 129, 127, 0, 3, 8, 11];

/// The first choice half of the time, so that whole packets are as frequent as odd ones.
fn pick<T: Copy>(choices: &[T], index: u8) -> T {
    if index < 160 { choices[0] } else { choices[usize::from(index) % choices.len()] }
}

/// What a recipe makes, and what the RFCs say about answering it.
pub struct Specimen {
    pub frame: Vec<u8>,
    /// Where the IP packet begins in the frame, and how long it is.
    pub ip: std::ops::Range<usize>,
    /// The source is a single host other than the router, by IP and MAC.
    pub source_ok: bool,
    /// The destination is no group, by IP and MAC.
    pub destination_ok: bool,
    /// A fragment other than the first.
    pub later_fragment: bool,
    /// ICMP of a type that is or may be an error, or whose type is cut off.
    pub icmp_error: bool,
}

impl Recipe {
    fn fragment_kind(&self) -> u8 {
        if self.fragment < 180 { 0 } else { self.fragment % 3 }
    }

    pub fn make(&self) -> Specimen {
        let (eth_dst, group_free) = pick(&ETH_DST, self.eth_dst);
        let (eth_src, station) = pick(&ETH_SRC, self.eth_src);
        let mut frame = [eth_dst, eth_src].concat();
        if let Some(tci) = self.tci {
            frame.extend([0x81, 0x00]);
            frame.extend(tci.to_be_bytes());
        }
        frame.extend(if self.v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        let start = frame.len();
        let (packet, source, destination) = if self.v6 { self.ipv6() } else { self.ipv4() };
        let end = start + packet.len();
        frame.extend(packet);
        frame.extend(vec![0xee; usize::from(self.padding % 24)]);
        let later_fragment = self.fragment_kind() == 2;
        Specimen {
            frame,
            ip: start..end,
            source_ok: source && station,
            destination_ok: destination && group_free,
            later_fragment,
            icmp_error: !later_fragment && self.transport_protocol().1,
        }
    }

    fn icmp_kind(&self) -> u8 {
        if self.icmp_type_any {
            self.icmp_type
        } else {
            TELLING_TYPES[usize::from(self.icmp_type) % TELLING_TYPES.len()]
        }
    }

    /// Protocol number, and whether it is an ICMP error.
    fn transport_protocol(&self) -> (u8, bool) {
        let kind = self.icmp_kind();
        match (self.transport % 6, self.v6) {
            (0 | 1, false) => (1, !QUERIES_V4.contains(&kind)),
            (0 | 1, true) => (58, kind < 128 || kind == 137),
            (2, _) => (6, false),
            (3, _) => (17, false),
            (4, _) => (132, false),
            (_, _) => (47, false),
        }
    }

    fn transport(&self) -> Vec<u8> {
        let filler: Vec<u8> = (0..self.payload % 1600).map(|i| i.to_be_bytes()[1]).collect();
        if self.transport % 6 > 1 {
            let mut ports =
                vec![0x12, 0x34, 0x00, 0x35, 0, 20, 0, 0, 0, 0, 0, 0, 0x51, 0x12, 0, 0, 0, 0, 0, 0];
            ports.extend(filler);
            return ports;
        }
        let mut icmp = vec![self.icmp_kind(), u8::from(self.icmp_code), 0, 0, 0xe0, 0, 0, 0];
        if self.v6 && matches!(self.icmp_kind(), 135 | 136) {
            icmp.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77]);
            for choice in self.nd_options {
                match choice % 6 {
                    0 => icmp.extend([1, 1, 2, 0, 0, 0, 0, 0x51]),
                    1 => icmp.extend([2, 1, 2, 0, 0, 0, 0, 0x71]),
                    2 => icmp.extend([14, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
                    3 => icmp.extend([1, 0, 2, 0, 0, 0, 0, 0x52]),
                    4 => icmp.extend([2, 200, 2, 0, 0, 0, 0, 0x72]),
                    _ => {}
                }
            }
        } else {
            icmp.extend(filler);
        }
        icmp
    }

    fn ipv4(&self) -> (Vec<u8>, bool, bool) {
        let ((src, source), (dst, destination)) = (pick(&SRC_V4, self.src), pick(&DST_V4, self.dst));
        let options = if self.options < 200 { 0 } else { usize::from(self.options % 11) };
        let body = self.transport();
        let total = u16::try_from(20 + options * 4 + body.len()).unwrap();
        let flags: [u8; 2] = [[0x40, 0], [0x20, 0], [0x00, 0x10]][usize::from(self.fragment_kind())];
        let mut packet = vec![0x45 + u8::try_from(options).unwrap(), self.tos];
        packet.extend(total.to_be_bytes());
        packet.extend([0xab, 0xcd, flags[0], flags[1], 1, self.transport_protocol().0, 0, 0]);
        packet.extend([src, dst].concat());
        packet.extend(vec![1; options * 4]); // no-operation options
        let sum = reference_checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(body);
        (packet, source, destination)
    }

    fn ipv6(&self) -> (Vec<u8>, bool, bool) {
        let ((src, source), (dst, destination)) = (pick(&SRC_V6, self.src), pick(&DST_V6, self.dst));
        // Extension headers from the inside out: each needs to know the protocol it stands before.
        let (mut next, mut body) = (self.transport_protocol().0, self.transport());
        match self.fragment_kind() {
            0 => {}
            kind => {
                let offset = if kind == 1 { [0x00, 0x01] } else { [0x00, 0x10] };
                body = [&[next, 0, offset[0], offset[1], 0, 0, 0, 9], &body[..]].concat();
                next = 44;
            }
        }
        for choice in self.extensions {
            // Padding options fill the bodies: PadN (RFC 8200, section 4.2).
            let header: &[u8] = match choice {
                0..160 => continue,
                160..180 => &[next, 0, 1, 4, 0, 0, 0, 0],
                180..200 => &[next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                200..220 => &[next, 0, 4, 0, 0, 0, 0, 0],
                220..240 => &[next, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1],
                240.. => &[next, 0, 0, 0, 0, 0, 0, 5],
            };
            body = [header, &body[..]].concat();
            next = match choice {
                ..180 => 0,
                180..200 => 60,
                200..220 => 43,
                220..240 => 51,
                240.. => 44,
            };
        }
        let mut packet = vec![0x60 | self.tos >> 4, self.tos << 4 | 0x0a, 0xbc, 0xde];
        packet.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        packet.extend([next, 1]);
        packet.extend([src, dst].concat());
        packet.extend(body);
        (packet, source, destination)
    }
}

/// RFC 1071 the slow way, written apart from the crate.
pub fn reference_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
        sum = sum % 0x10000 + sum / 0x10000;
    }
    0xffff - u16::try_from(sum % 0x10000 + sum / 0x10000).unwrap()
}
