//! `bpf/lookup.bpf.c`: lookups alone, 65,536 in one run. For the comparison of walkers and for measurements.

use std::time::Duration;

use libbpf_rs::{MapCore as _, MapFlags, Object, ProgramInput};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::maps::ImageMap;
use crate::{Error, object};

/// Lookups in one run.
pub const KEYS: usize = 65_536;
const COUNT: u32 = 65_536;

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct Key {
    /// The first half of the address as a number; an IPv4 address stands in its upper half.
    pub upper: u64,
    /// The second half.
    pub lower: u64,
    /// Index of the domain; for the peers the VRF id.
    pub vrf: u32,
    /// 1 for IPv6.
    pub v6: u32,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct Answer {
    /// The word that ended the lookup; of the peers the index of the adjacency.
    pub word: u32,
    /// Some of the adjacency's bytes, exclusive-ored.
    pub adjacency: u32,
}

/// Which program looks up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walker {
    /// Ours.
    Image,
    /// The kernel's hash map, hosts alone.
    Hash,
    /// The kernel's LPM trie.
    Trie,
    /// None: reads the key and writes an answer, to be subtracted.
    Nothing,
}

impl Walker {
    const fn name(self) -> &'static str {
        match self {
            Self::Image => "lookup_image",
            Self::Hash => "lookup_hash",
            Self::Trie => "lookup_trie",
            Self::Nothing => "lookup_nothing",
        }
    }
}

/// How many routes the peers hold at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peers {
    /// Of the hash map.
    pub hosts: u32,
    /// Of the trie.
    pub prefixes: u32,
    /// Of the array of adjacencies, 32 bytes each.
    pub adjacencies: u32,
}

/// The loaded programs.
#[derive(Debug)]
pub struct Lookup {
    object: Object,
}

impl Lookup {
    /// Loads them over an image.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load(image: &ImageMap, peers: Peers) -> Result<Self, Error> {
        let mut object = object::open("lookup", object::lookup())?;
        object::use_image(&mut object, image)?;
        for (name, entries) in
            [("hosts", peers.hosts), ("prefixes", peers.prefixes), ("adjacencies", peers.adjacencies)]
        {
            let mut map = object.maps_mut().find(|map| map.name() == name);
            let map = map.as_mut().ok_or(Error::NoPart { kind: "map", name })?;
            map.set_max_entries(entries.max(1)).map_err(Error::bpf(format!("size the map {name}")))?;
        }
        let mut object = object.load().map_err(Error::bpf("load lookup.bpf.o"))?;
        image.publish(&object::map(&mut object, "images")?)?;
        Ok(Self { object })
    }

    /// Sets the keys from the first on.
    ///
    /// # Errors
    /// There are more than [`KEYS`], or none.
    pub fn set_keys(&mut self, keys: &[Key]) -> Result<(), Error> {
        self.fill("keys", &indices(keys.len()), keys.as_bytes(), keys.len())
    }

    /// Adds to a map of the peers: `hosts`, `prefixes` or `adjacencies`.
    ///
    /// # Errors
    /// The map is full, or `keys` and `values` do not hold `count` of its entries.
    pub fn fill(&mut self, map: &'static str, keys: &[u8], values: &[u8], count: usize) -> Result<(), Error> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        object::map(&mut self.object, map)?
            .update_batch(keys, values, count, MapFlags::ANY, MapFlags::ANY)
            .map_err(Error::bpf(format!("fill the map {map}")))
    }

    /// Looks up all keys `repeat` times; the time that one lookup took, loop included.
    ///
    /// # Errors
    /// The program does not run.
    pub fn run(&self, walker: Walker, repeat: u32) -> Result<Duration, Error> {
        let frame = [0; 64];
        let input = ProgramInput { data_in: Some(&frame), repeat, ..Default::default() };
        let program = object::program(&self.object, walker.name())?;
        let output = program.test_run(input).map_err(Error::bpf(format!("run {}", walker.name())))?;
        if output.return_value != libbpf_rs::libbpf_sys::XDP_PASS {
            return Err(Error::Io {
                what: format!("look all keys up by {}", walker.name()),
                source: std::io::ErrorKind::Interrupted.into(),
            });
        }
        Ok(output.duration)
    }

    /// The answers of the last run.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn answers(&mut self) -> Result<Vec<Answer>, Error> {
        let map = object::map(&mut self.object, "answers")?;
        let mut answers = vec![Answer::default(); KEYS];
        let batch =
            map.lookup_batch(COUNT, MapFlags::ANY, MapFlags::ANY).map_err(Error::bpf("read answers"))?;
        for (key, value) in batch {
            let index =
                key.try_into().map(u32::from_ne_bytes).ok().and_then(|index| usize::try_from(index).ok());
            let slot = index.and_then(|index| answers.get_mut(index));
            if let (Some(slot), Ok(answer)) = (slot, Answer::read_from_bytes(&value)) {
                *slot = answer;
            }
        }
        Ok(answers)
    }
}

fn indices(count: usize) -> Vec<u8> {
    (0..u32::try_from(count).unwrap_or(u32::MAX)).flat_map(u32::to_ne_bytes).collect()
}
