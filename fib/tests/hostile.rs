//! No bytes make the loader or a walk misstep.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

#[allow(unreachable_pub, missing_docs, dead_code, reason = "one of several test crates that share it")]
mod common;

use common::{AnyAddr, AnyRoute, burst, tables, vrf};
use fib::{FibImage, LoadError, Memory, Rib};
use std::net::IpAddr;

fn image_of(routes: &[AnyRoute]) -> Vec<u8> {
    let mut rib = Rib::with_tables(tables());
    routes.iter().for_each(|route| _ = rib.insert(route.route()));
    rib.image(1, 2).unwrap().bytes().to_vec()
}

/// Loads a copy, which is aligned.
fn load(bytes: &[u8], then: impl FnOnce(Result<FibImage<'_>, LoadError>)) {
    let mut memory = Memory::copy_of(bytes);
    then(FibImage::load(&memory.bytes()[..bytes.len()]));
}

fn error(bytes: &[u8]) -> Option<LoadError> {
    let mut error = None;
    load(bytes, |loaded| error = loaded.err());
    error
}

#[test]
fn arbitrary_and_damaged_bytes_are_refused() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| assert!(error(bytes).is_some()));
    type Case = (Vec<AnyRoute>, u32, u8, u32);
    bolero::check!().with_type::<Case>().for_each(|(routes, at, flip, keep)| {
        let good = image_of(routes);
        assert_eq!(error(&good), None);
        let mut bytes = good.clone();
        let at = usize::try_from(*at).unwrap() % bytes.len();
        bytes[at] ^= flip | 1;
        // The flag that says whether there are checksums is the one bit that they do not guard.
        let unsealed = at == 12 && (flip | 1) == 1;
        assert_eq!(error(&bytes).is_some(), !unsealed, "byte {at} changed");
        let keep = usize::try_from(*keep).unwrap() % good.len();
        assert!(error(&good[..keep]).is_some(), "cut to {keep}");
        assert!(error(&[&good[..], &[0; 64]].concat()).is_some(), "one unit more");
    });
}

/// Checksums are no defence: whoever writes hostile bytes leaves them out. What then loads is decoded to an end, and
/// every walk over it ends, as over what does not load.
#[test]
fn hostile_bytes_are_refused_or_walked_within_bounds() {
    type Case = (Vec<AnyRoute>, Vec<(u32, u8)>, Vec<AnyAddr>);
    let counts = std::sync::Mutex::new((0, 0));
    bolero::check!().with_iterations(3000).with_type::<Case>().for_each(|(routes, damage, addrs)| {
        let mut bytes = image_of(routes);
        bytes[12] = 0;
        for (at, value) in damage.iter().take(4) {
            // Half of the damage goes to the header, where most of the sense is.
            let at = usize::try_from(*at).unwrap();
            let at = if at % 2 == 0 { at / 2 % 320 } else { at / 2 % bytes.len() };
            let byte = &mut bytes[at];
            *byte = if at % 3 == 0 { *value } else { byte.wrapping_add(value % 3) };
        }
        let addrs: Vec<IpAddr> = addrs.iter().map(|addr| addr.addr()).collect();
        walk(Memory::copy_of(&bytes).image(), &addrs);
        load(&bytes, |loaded| {
            let mut counts = counts.lock().unwrap();
            let Ok(image) = loaded else { return counts.1 += 1 };
            counts.0 += 1;
            walk(image, &addrs);
            _ = (image.routes(), image.tables());
        });
    });
    let (accepted, refused) = counts.into_inner().unwrap();
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

fn walk(image: FibImage<'_>, addrs: &[IpAddr]) {
    for vrf in (0..3).map(vrf) {
        let domain = image.domain(vrf).unwrap_or(fib::DomainNumber(1));
        for addr in addrs {
            _ = image.lookup(vrf, *addr);
            let flow = packet::FiveTuple {
                ends: packet::Ends::new(*addr, *addr).unwrap(),
                protocol: 6,
                src_port: 1,
                dst_port: 2,
            };
            _ = image.forward_in(domain, &flow);
        }
        let addrs = &addrs[..addrs.len().min(fib::BURST)];
        let scalar: Vec<u32> = addrs.iter().map(|addr| image.lookup_word(domain, *addr)).collect();
        assert_eq!(
            burst(image, domain, addrs),
            scalar,
            "whatever the bytes are, all walkers read them alike"
        );
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let route = |vrf, bits| AnyRoute { vrf, place: AnyAddr { v6: false, bits }, len: 90, next: 5 };
    let good = image_of(&[route(0, 1), route(1, 1), route(1, 2), route(1, 130)]);
    // Changes one byte (offsets as on the format's page) of an image without checksums.
    let refused = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[12] = 0;
        bytes[at] = value;
        error(&bytes).unwrap()
    };
    assert!(matches!(refused(0, b'X'), LoadError::Magic(_)));
    assert_eq!(refused(8, 1), LoadError::Version(1));
    assert!(matches!(refused(10, 1), LoadError::Size { what: "header size", .. }));
    assert!(matches!(refused(20, 5), LoadError::Size { what: "section count", says: 5, want: 13 }));
    assert!(matches!(refused(16, 0), LoadError::Size { what: "size in units", .. }));
    assert_eq!(refused(64, 0), LoadError::Section(0), "within the header");
    assert_eq!(refused(64 + 8 + 7, 0xff), LoadError::Section(1), "beyond the end");
    let domains = 64 * usize::from(good[64 + 5 * 8]);
    assert!(matches!(refused(domains + 32 + 3, 6 << 5), LoadError::Dangling(_)), "a wide table elsewhere");

    let mut damaged = good.clone();
    damaged[32] ^= 1;
    assert!(matches!(error(&damaged), Some(LoadError::Checksum { what: "the header", .. })));
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(error(&damaged), Some(LoadError::Checksum { what: "a section", .. })));

    assert_eq!(error(&[0; 64]), Some(LoadError::TooShort(64)));
    let mut older = good;
    older[8] = 1;
    assert_eq!(error(&older).unwrap().to_string(), "fib image has version 1: want 2");
}
