/* SPDX-License-Identifier: Apache-2.0 */
/* What stands before a frame on the underlay: VXLAN (RFC 7348, 5) and GRE with a key (RFC 2890, 2), over IPv4. */
#ifndef TUNNEL_H
#define TUNNEL_H

#include "packet.h"

#define VXLAN_PORT 4789
#define VXLAN_FLAGS 0x08000000 /* "there is a network identifier", and nothing else */
#define GRE_KEY 0x2000
#define GRE_ETHERNET 0x6558
#define OUTER_TTL 64
/* Source ports, from a hash of the inner flow, so that the underlay spreads flows and keeps each in order. */
#define FIRST_SOURCE_PORT 32768
#define SOURCE_PORTS 28232

struct vxlan_outer {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__be32 flags;
	__be32 vni; /* upper 24 bits */
} __attribute__((packed));

struct gre_outer {
	struct ethhdr eth;
	struct iphdr ip;
	__be16 flags;
	__be16 protocol;
	__be32 key;
} __attribute__((packed));

/* The last four bytes of an IPv4-mapped address; 0 if it is none. */
static __always_inline __be32 mapped4(const __u8 *address)
{
	const __u32 *words = (const __u32 *)address;

	return words[0] || words[1] || words[2] != bpf_htonl(0xffff) ? 0 : words[3];
}

/* Not for programs without an image. */
#ifdef FIB_H
static __always_inline void write_outer_ip(void *outer, struct fib_egress *egress,
					   __u8 protocol, __u32 len)
{
	struct ethhdr *eth = outer;
	struct iphdr *ip = outer + sizeof(*eth);

	copy_mac(eth->h_dest, egress->outer_dst);
	copy_mac(eth->h_source, egress->outer_src);
	eth->h_proto = bpf_htons(ETH_P_IP);
	__builtin_memset(ip, 0, sizeof(*ip));
	*(__u8 *)ip = 0x45;
	ip->tot_len = bpf_htons(len);
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = OUTER_TTL;
	ip->protocol = protocol;
	ip->saddr = mapped4(egress->local);
	ip->daddr = mapped4(egress->remote);
	ip->check = ~sum_fold(sum_words(ip, 10));
}
#endif

#endif
