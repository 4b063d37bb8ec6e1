//! Topologies that several tests use, small enough to hold in the head.

/// One VXLAN network, three ports on two chassis.
pub const SINGLE: &str = "
chassis:
  - { id: hv1, encap_ips: [192.0.2.1] }
  - { id: hv2, encap_ips: [192.0.2.2] }
networks:
  - { id: web, segment: { type: vxlan, id: 5001 } }
subnets:
  - { id: web-v4, network: web, cidr: 10.0.0.0/24, gateway_ip: 10.0.0.1 }
ports:
  - { id: web-1, network: web, mac: '02:00:00:00:00:11', fixed_ips: [{ subnet: web-v4, ip: 10.0.0.11 }], chassis: hv1 }
  - { id: web-2, network: web, mac: '02:00:00:00:00:12', fixed_ips: [{ subnet: web-v4, ip: 10.0.0.12 }], chassis: hv1 }
  - { id: web-3, network: web, mac: '02:00:00:00:00:13', fixed_ips: [{ subnet: web-v4, ip: 10.0.0.13 }], chassis: hv2 }
";

/// Two VXLAN networks with IPv4 and IPv6 behind one router, ports of both on both chassis.
pub const ROUTED: &str = "
chassis:
  - { id: hv1, encap_ips: [192.0.2.1] }
  - { id: hv2, encap_ips: [192.0.2.2] }
networks:
  - { id: web, segment: { type: vxlan, id: 5001 } }
  - { id: db, segment: { type: vxlan, id: 5002 } }
subnets:
  - { id: web-v4, network: web, cidr: 10.0.0.0/24, gateway_ip: 10.0.0.1 }
  - { id: db-v4, network: db, cidr: 10.0.1.0/24, gateway_ip: 10.0.1.1 }
  - { id: web-v6, network: web, cidr: '2001:db8:0::/64', gateway_ip: '2001:db8:0::1' }
  - { id: db-v6, network: db, cidr: '2001:db8:1::/64', gateway_ip: '2001:db8:1::1' }
ports:
  - id: web-1
    network: web
    mac: '02:00:00:00:00:11'
    fixed_ips: [{ subnet: web-v4, ip: 10.0.0.11 }, { subnet: web-v6, ip: '2001:db8:0::11' }]
    chassis: hv1
  - id: web-2
    network: web
    mac: '02:00:00:00:00:12'
    fixed_ips: [{ subnet: web-v4, ip: 10.0.0.12 }, { subnet: web-v6, ip: '2001:db8:0::12' }]
    chassis: hv2
  - id: db-1
    network: db
    mac: '02:00:00:00:01:11'
    fixed_ips: [{ subnet: db-v4, ip: 10.0.1.11 }, { subnet: db-v6, ip: '2001:db8:1::11' }]
    chassis: hv1
  - id: db-2
    network: db
    mac: '02:00:00:00:01:12'
    fixed_ips: [{ subnet: db-v4, ip: 10.0.1.12 }, { subnet: db-v6, ip: '2001:db8:1::12' }]
    chassis: hv2
routers:
  - id: r1
    interfaces: [{ subnet: web-v4 }, { subnet: db-v4 }, { subnet: web-v6 }, { subnet: db-v6 }]
";

/// Two networks on given segments, each with IPv4 and IPv6 and a port on both chassis, and a router between them.
pub fn two_networks(web: &str, dba: &str) -> String {
    let mut yaml = format!(
        "chassis:
  - {{ id: hv1, encap_ips: [192.0.2.1], bridge_mappings: {{ physnet1: br-1, physnet2: br-2, physnet3: br-3 }} }}
  - {{ id: hv2, encap_ips: [192.0.2.2], bridge_mappings: {{ physnet1: br-1, physnet2: br-2, physnet3: br-3 }} }}
networks:
  - {{ id: web, segment: {web}, mtu: 1400 }}
  - {{ id: dba, segment: {dba}, mtu: 1400 }}
routers:
  - {{ id: r1, interfaces: [{{ subnet: web-v4 }}, {{ subnet: dba-v4 }}, {{ subnet: web-v6 }}, {{ subnet: dba-v6 }}] }}
subnets:
"
    );
    for (n, net) in ["web", "dba"].iter().enumerate() {
        yaml.push_str(&format!(
            "  - {{ id: {net}-v4, network: {net}, cidr: 10.0.{n}.0/24, gateway_ip: 10.0.{n}.1 }}
  - {{ id: {net}-v6, network: {net}, cidr: '2001:db8:{n}::/64', gateway_ip: '2001:db8:{n}::1' }}\n"
        ));
    }
    yaml.push_str("ports:\n");
    for (n, net) in ["web", "dba"].iter().enumerate() {
        for hv in [1, 2] {
            yaml.push_str(&format!(
                "  - {{ id: {net}-{hv}, network: {net}, mac: '02:00:00:00:0{n}:1{hv}', chassis: hv{hv}, fixed_ips: \
                 [{{ subnet: {net}-v4, ip: 10.0.{n}.1{hv} }}, {{ subnet: {net}-v6, ip: '2001:db8:{n}::1{hv}' }}] }}\n"
            ));
        }
    }
    yaml
}

/// web - r1 - transit - r2 - db, with a route on each router to the far side.
pub const TWO_ROUTERS: &str = "
chassis:
  - { id: hv1, encap_ips: [192.0.2.1] }
  - { id: hv2, encap_ips: [192.0.2.2] }
networks:
  - { id: web, segment: { type: vxlan, id: 5001 } }
  - { id: transit, segment: { type: vxlan, id: 5002 } }
  - { id: db, segment: { type: geneve, id: 5003 } }
subnets:
  - { id: web-v4, network: web, cidr: 10.0.0.0/24, gateway_ip: 10.0.0.1 }
  - { id: transit-v4, network: transit, cidr: 10.0.1.0/24, gateway_ip: 10.0.1.1 }
  - { id: db-v4, network: db, cidr: 10.0.2.0/24, gateway_ip: 10.0.2.1 }
ports:
  - { id: web-1, network: web, mac: '02:00:00:00:00:11', fixed_ips: [{ subnet: web-v4, ip: 10.0.0.11 }], chassis: hv1 }
  - { id: db-1, network: db, mac: '02:00:00:00:02:11', fixed_ips: [{ subnet: db-v4, ip: 10.0.2.11 }], chassis: hv2 }
routers:
  - id: r1
    interfaces: [{ subnet: web-v4 }, { subnet: transit-v4 }]
    routes: [{ destination: 10.0.2.0/24, next_hops: [10.0.1.2] }]
  - id: r2
    interfaces: [{ subnet: transit-v4, ip: 10.0.1.2 }, { subnet: db-v4 }]
    routes: [{ destination: 0.0.0.0/0, next_hops: [10.0.1.1] }]
";

/// A default route with three next hops on another chassis.
pub const ECMP: &str = "
chassis:
  - { id: hv1, encap_ips: [192.0.2.1] }
  - { id: hv2, encap_ips: [192.0.2.2] }
networks:
  - { id: web, segment: { type: vxlan, id: 5001 } }
  - { id: edge, segment: { type: gre, id: 5002 } }
subnets:
  - { id: web-v4, network: web, cidr: 10.0.0.0/24, gateway_ip: 10.0.0.1 }
  - { id: edge-v4, network: edge, cidr: 10.0.1.0/24, gateway_ip: 10.0.1.1 }
ports:
  - { id: web-1, network: web, mac: '02:00:00:00:00:11', fixed_ips: [{ subnet: web-v4, ip: 10.0.0.11 }], chassis: hv1 }
  - { chassis: hv2, id: gw-1, network: edge, mac: '02:00:00:00:01:11', fixed_ips: [{ subnet: edge-v4, ip: 10.0.1.11 }] }
  - { chassis: hv2, id: gw-2, network: edge, mac: '02:00:00:00:01:12', fixed_ips: [{ subnet: edge-v4, ip: 10.0.1.12 }] }
  - { chassis: hv2, id: gw-3, network: edge, mac: '02:00:00:00:01:13', fixed_ips: [{ subnet: edge-v4, ip: 10.0.1.13 }] }
routers:
  - id: r1
    interfaces: [{ subnet: web-v4 }, { subnet: edge-v4 }]
    routes: [{ destination: 0.0.0.0/0, next_hops: [10.0.1.11, 10.0.1.12, 10.0.1.13] }]
";

/// Routes to parts of an attached subnet.
pub const OVERRIDE: &str = "
chassis: [{ id: hv1, encap_ips: [192.0.2.1] }]
networks:
  - { id: web, segment: { type: vxlan, id: 5001 } }
  - { id: db, segment: { type: vxlan, id: 5002 } }
subnets:
  - { id: web-v4, network: web, cidr: 10.0.0.0/24, gateway_ip: 10.0.0.1 }
  - { id: db-v4, network: db, cidr: 10.0.1.0/24, gateway_ip: 10.0.1.1 }
ports:
  - { id: web-1, network: web, mac: '02:00:00:00:00:11', fixed_ips: [{ subnet: web-v4, ip: 10.0.0.11 }], chassis: hv1 }
  - { id: gw-1, network: web, mac: '02:00:00:00:00:12', fixed_ips: [{ subnet: web-v4, ip: 10.0.0.12 }], chassis: hv1 }
  - { id: db-1, network: db, mac: '02:00:00:00:01:20', fixed_ips: [{ subnet: db-v4, ip: 10.0.1.20 }], chassis: hv1 }
  - { id: db-2, network: db, mac: '02:00:00:00:01:30', fixed_ips: [{ subnet: db-v4, ip: 10.0.1.130 }], chassis: hv1 }
routers:
  - id: r1
    interfaces: [{ subnet: web-v4 }, { subnet: db-v4 }]
    routes:
      - { destination: 10.0.1.128/25, next_hops: [10.0.0.12] }
      - { destination: 10.0.1.200/32, next_hops: [10.0.1.20] }
";
