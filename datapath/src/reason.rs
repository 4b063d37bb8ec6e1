//! What became of a frame: `bpf/reason.h` in Rust.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal $symbol:literal,)*) => {
        /// What became of a frame. Up to [`Reason::Delivered`] it was sent on here; otherwise it went to Open vSwitch.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Reason { $($(#[$doc])* $name = $number,)* }

        impl Reason {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in C and in what is shown.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $symbol,)* }
            }
        }
    };
}

reasons! {
    /// To a station of the same network.
    Switched = 0 "SWITCHED",
    /// By a router.
    Routed = 1 "ROUTED",
    /// An ARP request, answered.
    AnsweredArp = 2 "ANSWERED_ARP",
    /// A neighbour solicitation, answered.
    AnsweredNd = 3 "ANSWERED_ND",
    /// An echo request to a router, answered.
    AnsweredEcho = 4 "ANSWERED_ECHO",
    /// From a tunnel to a local port.
    Delivered = 5 "DELIVERED",
    /// There is no image yet.
    NoImage = 16 "NO_IMAGE",
    /// The interface is no port of the image.
    NotAPort = 17 "NOT_A_PORT",
    /// The image leaves this port, network or router to Open vSwitch.
    Slow = 18 "SLOW",
    /// The frame ends before its headers do.
    CutOff = 19 "CUT_OFF",
    /// The frame has an 802.1Q tag where none belongs.
    Tagged = 20 "TAGGED",
    /// For a group, or for everybody.
    GroupAddress = 21 "GROUP_ADDRESS",
    /// Neither IP nor an ARP request.
    OtherProtocol = 22 "OTHER_PROTOCOL",
    /// From an address that the port may not send from.
    Spoofed = 23 "SPOOFED",
    /// The IP header contradicts itself or the frame.
    Malformed = 24 "MALFORMED",
    /// A fragment.
    Fragment = 25 "FRAGMENT",
    /// An IPv6 extension header.
    Extension = 26 "EXTENSION",
    /// Neighbour discovery beyond the common solicitation.
    Discovery = 27 "DISCOVERY",
    /// A question for an address that nobody else has.
    UnknownTarget = 28 "UNKNOWN_TARGET",
    /// For a MAC address that nobody has.
    UnknownStation = 29 "UNKNOWN_STATION",
    /// From or to an address that no router passes on.
    Scope = 30 "SCOPE",
    /// TTL or hop limit used up.
    Ttl = 31 "TTL",
    /// For a router itself, and no echo request.
    ToRouter = 32 "TO_ROUTER",
    /// No route.
    NoRoute = 33 "NO_ROUTE",
    /// A route that says "unreachable".
    Refused = 34 "REFUSED",
    /// A route that says "drop".
    Blackhole = 35 "BLACKHOLE",
    /// Through too many routers.
    Loop = 36 "LOOP",
    /// Longer than the next network's MTU.
    TooBig = 37 "TOO_BIG",
    /// Back to where it came from.
    Back = 38 "BACK",
    /// The way out is not known here, or takes no redirected frames.
    NoEgress = 39 "NO_EGRESS",
    /// No room for another header.
    NoRoom = 40 "NO_ROOM",
    /// On the underlay, and no tunnel's frame for here.
    NotOurs = 41 "NOT_OURS",
}

impl Reason {
    /// True if the frame was sent on, false if Open vSwitch decides.
    pub const fn is_done(self) -> bool {
        (self as u32) <= Self::Delivered as u32
    }

    /// The reason of a number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| *reason as u32 == number)
    }
}
