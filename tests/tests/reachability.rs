//! Who reaches whom, over every kind of segment, IPv4 and IPv6, on real Open vSwitch.

use anyhow::{Result, ensure};
use lab::{
    Cloud,
    topologies::{flat, overlay, two_tenants, vlan},
};
use serde_json::Value;

const RED: [&str; 4] = ["web-1", "web-2", "db-1", "db-2"];
const BLUE: [&str; 2] = ["blue-1", "blue-2"];

/// Every VM of a tenant reaches every other, in its own subnet and beyond the router, here and on the other host; none
/// reaches another tenant, whose addresses overlap.
fn matrix(prefix: &str, web: Value, db: Value, blue: Value) -> Result<()> {
    let cloud = Cloud::start(prefix, two_tenants(web, db, blue))?;
    let mut wrong = Vec::new();
    for tenant in [&RED[..], &BLUE[..]] {
        for from in tenant {
            for to in tenant.iter().filter(|to| *to != from) {
                for ip in [cloud.vm(to)?.v4()?, cloud.vm(to)?.v6()?] {
                    let report = cloud.vm(from)?.ping(ip, 2)?;
                    // The first may be lost to the underlay's own neighbour discovery, never both.
                    if report.none() {
                        wrong.push(format!("{from} does not reach {to} at {ip}: {:?}", report.complaints));
                    }
                }
            }
        }
    }
    for (from, to) in [("web-1", "blue-2"), ("db-1", "blue-2"), ("blue-1", "db-2"), ("blue-2", "web-2")] {
        for ip in [cloud.vm(to)?.v4()?, cloud.vm(to)?.v6()?] {
            if !cloud.vm(from)?.ping(ip, 1)?.none() {
                wrong.push(format!("{from} reaches {to} of another tenant at {ip}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn vxlan() -> Result<()> {
    // Ids of more than 16 bits, and the greatest one.
    matrix("rvx", overlay("vxlan", 70_001), overlay("vxlan", 70_002), overlay("vxlan", 0xff_ffff))
}

#[test]
fn gre() -> Result<()> {
    matrix("rgre", overlay("gre", 70_001), overlay("gre", 70_002), overlay("gre", 0xff_ffff))
}

#[test]
fn geneve() -> Result<()> {
    matrix("rgnv", overlay("geneve", 70_001), overlay("geneve", 70_002), overlay("geneve", 0xff_ffff))
}

#[test]
fn vlans() -> Result<()> {
    matrix("rvlan", vlan(101), vlan(102), vlan(4094))
}

#[test]
fn mixed_overlays_with_the_same_id() -> Result<()> {
    matrix("rmix", overlay("vxlan", 5), overlay("gre", 5), overlay("geneve", 5))
}

#[test]
fn vlan_flat_and_overlay() -> Result<()> {
    matrix("rphys", vlan(101), overlay("vxlan", 7), flat())
}
