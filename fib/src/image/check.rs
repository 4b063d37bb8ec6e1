//! The loader: bytes of unknown origin in, a checked image or the first thing wrong out.

use super::{FibImage, decode};
use crate::layout1::{
    CHECKED_FROM, GroupRecord, HEADER_LEN, Header, MAGIC, SECTIONS, VERSION, VrfRecord, checksum,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Why bytes are no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Fewer bytes than a header.
    #[error("{0} bytes are too few for a fib image")]
    TooShort(usize),
    /// The first bytes are not those of an image.
    #[error("no fib image: it begins with {0:02x?}")]
    Magic([u8; 8]),
    /// Written in another layout.
    #[error("fib image has version {0}: want {VERSION}")]
    Version(u16),
    /// A size in the header is not the one of this version, or not that of the bytes.
    #[error("{what} of the fib image is {says}: want {want}")]
    Size {
        /// The field.
        what: &'static str,
        /// What it says.
        says: u64,
        /// What it should.
        want: u64,
    },
    /// The bytes changed since they were written.
    #[error("checksum of the fib image is {says:#018x}: want {want:#018x}")]
    Checksum {
        /// What the header says.
        says: u64,
        /// What the bytes have.
        want: u64,
    },
    /// A section does not follow the one before, or exceeds the image.
    #[error("section {0} of the fib image is out of place")]
    Section(usize),
    /// The shares of VRFs or groups do not follow each other.
    #[error("{what} {id} of the fib image has records out of place")]
    Share {
        /// VRF or group.
        what: &'static str,
        /// Its id.
        id: u32,
    },
    /// The records are not what their routes compile to: unordered, a wrong reference, a wrong parent, a number out of
    /// range, or bits set that have no meaning.
    #[error("fib image contradicts itself at byte {0}")]
    Contradiction(usize),
}

pub(super) fn load(bytes: &[u8]) -> Result<FibImage<'_>, LoadError> {
    let header = header(bytes)?;
    let mut reader = Reader { bytes, header, next: 0, end: size_of::<Header>() };
    let image = FibImage {
        header,
        vrfs: reader.section()?,
        v4: reader.section()?,
        v6: reader.section()?,
        adjacencies: reader.section()?,
        groups: reader.section()?,
        members: reader.section()?,
    };
    size("section data", reader.end, bytes.len())?;
    shares(&image)?;
    compare(&image, bytes)?;
    Ok(image)
}

fn header(bytes: &[u8]) -> Result<&Header, LoadError> {
    let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| LoadError::TooShort(bytes.len()))?;
    if header.magic != MAGIC {
        return Err(LoadError::Magic(header.magic));
    }
    if header.version.get() != VERSION {
        return Err(LoadError::Version(header.version.get()));
    }
    size("header size", header.header_len.get(), HEADER_LEN)?;
    size("section count", header.section_count.get(), SECTIONS)?;
    size("size", header.total_len.get(), bytes.len())?;
    let (says, want) = (header.checksum.get(), checksum(bytes.get(CHECKED_FROM..).unwrap_or_default()));
    if says == want { Ok(header) } else { Err(LoadError::Checksum { says, want }) }
}

fn size(what: &'static str, says: impl TryInto<u64>, want: impl TryInto<u64>) -> Result<(), LoadError> {
    let (says, want) = (says.try_into().unwrap_or(u64::MAX), want.try_into().unwrap_or(u64::MAX));
    if says == want { Ok(()) } else { Err(LoadError::Size { what, says, want }) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    /// Index of the next section.
    next: usize,
    /// Where it has to begin.
    end: usize,
}

impl<'a> Reader<'a> {
    fn section<T: FromBytes + Immutable + KnownLayout>(&mut self) -> Result<&'a [T], LoadError> {
        let wrong = LoadError::Section(self.next);
        let section = self.header.sections.get(self.next).ok_or(wrong)?;
        let count = usize::try_from(section.count.get()).map_err(|_| wrong)?;
        let rest = self.bytes.get(self.end..).ok_or(wrong)?;
        if usize::try_from(section.offset.get()) != Ok(self.end) {
            return Err(wrong);
        }
        let (records, after) = <[T]>::ref_from_prefix_with_elems(rest, count).map_err(|_| wrong)?;
        self.end = self.bytes.len() - after.len();
        self.next += 1;
        Ok(records)
    }
}

/// Every record belongs to exactly one VRF or group, in order: so decoding is linear, whatever the bytes say.
fn shares(image: &FibImage<'_>) -> Result<(), LoadError> {
    let v4 = |vrf: &VrfRecord| (vrf.vrf.get(), vrf.v4_first.get(), vrf.v4_count.get());
    let v6 = |vrf: &VrfRecord| (vrf.vrf.get(), vrf.v6_first.get(), vrf.v6_count.get());
    let members = |group: &GroupRecord| (group.id.get(), group.first.get(), group.count.get());
    follow("vrf", image.vrfs.iter().map(v4), image.v4.len())?;
    follow("vrf", image.vrfs.iter().map(v6), image.v6.len())?;
    follow("ecmp group", image.groups.iter().map(members), image.members.len())
}

fn follow(
    what: &'static str,
    shares: impl Iterator<Item = (u32, u32, u32)>,
    total: usize,
) -> Result<(), LoadError> {
    let (mut end, mut last) = (0_u64, 0);
    for (id, first, count) in shares {
        if u64::from(first) != end {
            return Err(LoadError::Share { what, id });
        }
        end += u64::from(count);
        last = id;
    }
    if Ok(end) == u64::try_from(total) { Ok(()) } else { Err(LoadError::Share { what, id: last }) }
}

/// Everything else at once: the image must be what its own routes compile to. Costs a second image in memory.
fn compare(image: &FibImage<'_>, bytes: &[u8]) -> Result<(), LoadError> {
    let (routes, tables) = decode(image);
    let again = crate::build(routes, &tables, image.epoch(), image.hash_seed())
        .map_err(|_| LoadError::Contradiction(size_of::<Header>()))?;
    if again == bytes {
        return Ok(());
    }
    // The checksum of the new image differs as well: what comes behind it is the cause.
    let pairs = again.iter().zip(bytes).skip(CHECKED_FROM);
    Err(LoadError::Contradiction(CHECKED_FROM + pairs.take_while(|(again, given)| again == given).count()))
}
