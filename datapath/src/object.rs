//! The compiled eBPF objects, and the parts of one that is loaded.

use std::os::fd::{AsFd as _, AsRawFd as _};

use libbpf_rs::{MapCore as _, MapMut, Object, ObjectBuilder, OpenObject, ProgramMut};

use crate::Error;
use crate::maps::ImageMap;

/// libbpf reads the ELF in place: it must stand where 64-bit numbers may.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

macro_rules! compiled {
    ($name:literal) => {{
        static OBJECT: &Aligned<[u8]> =
            &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bpf.o")));
        &OBJECT.0
    }};
}

/// `bpf/plain.bpf.c`.
pub(crate) fn plain() -> &'static [u8] {
    compiled!("plain")
}

/// `bpf/lookup.bpf.c`.
pub(crate) fn lookup() -> &'static [u8] {
    compiled!("lookup")
}

/// `bpf/router.bpf.c`.
pub(crate) fn router() -> &'static [u8] {
    compiled!("router")
}

/// `bpf/gate.bpf.c`.
pub(crate) fn gate() -> &'static [u8] {
    compiled!("gate")
}

/// `bpf/generator.bpf.c`.
pub(crate) fn generator() -> &'static [u8] {
    compiled!("generator")
}

/// struct bpf_devmap_val: an interface, and no program behind it.
pub(crate) fn devmap_value(index: packet::IfIndex) -> [u8; 8] {
    let [a, b, c, d] = index.0.to_ne_bytes();
    [a, b, c, d, 0, 0, 0, 0]
}

/// Tells an object that includes `fib.h` how big its images are. What it holds when it is loaded is an example: the
/// image has to be published.
pub(crate) fn use_image(object: &mut OpenObject, image: &ImageMap) -> Result<(), Error> {
    for mut map in object.maps_mut() {
        if map.name() == "images" {
            map.set_inner_map_fd(image.handle().as_fd()).map_err(Error::bpf("size the images"))?;
        } else if map.name().to_string_lossy().ends_with(".rodata") {
            // `image_size` alone is there; more would be a mistake in the build.
            let missing = Error::NoPart { kind: "variable", name: "image_size" };
            let rodata: &mut [u8; 4] =
                map.initial_value_mut().and_then(|bytes| bytes.try_into().ok()).ok_or(missing)?;
            *rodata = image.size().to_ne_bytes();
        }
    }
    Ok(())
}

/// Opens an object: its maps may still be changed.
pub(crate) fn open(name: &str, elf: &[u8]) -> Result<OpenObject, Error> {
    let mut builder = ObjectBuilder::default();
    builder.name(name).map_err(Error::bpf(format!("name the object {name}")))?;
    builder.open_memory(elf).map_err(Error::bpf(format!("open the object {name}")))
}

/// A program of a loaded object.
///
/// # Errors
/// There is none of this name.
pub fn program<'a>(object: &'a Object, name: &'static str) -> Result<ProgramMut<'a>, Error> {
    let mut all = object.progs_mut();
    all.find(|program| program.name() == name).ok_or(Error::NoPart { kind: "program", name })
}

/// How many instructions the verifier looked at: what decides whether it will take the program at all (a million at
/// most), and it grows with paths, not with lines.
///
/// # Errors
/// The kernel does not say (before 5.16).
pub fn verified_instructions(program: &ProgramMut<'_>) -> Result<u64, Error> {
    let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("verified_insns:"));
    line.and_then(|number| number.trim().parse().ok())
        .ok_or(Error::NoPart { kind: "line", name: "verified_insns" })
}

/// The object that names all layouts, for their comparison.
pub fn with_layouts() -> &'static [u8] {
    lookup()
}

/// A map of a loaded object.
///
/// # Errors
/// There is none of this name.
pub fn map<'a>(object: &'a mut Object, name: &'static str) -> Result<MapMut<'a>, Error> {
    let mut all = object.maps_mut();
    all.find(|map| map.name() == name).ok_or(Error::NoPart { kind: "map", name })
}
