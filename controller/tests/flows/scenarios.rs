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
