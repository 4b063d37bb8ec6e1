// SPDX-License-Identifier: Apache-2.0
// The XDP router: what Open vSwitch would do with a frame, where that is simple and certain; everything else passes.
//
// It never drops: a frame is sent on, or Open vSwitch decides. datapath/src/forward.rs is the same decision in Rust, and
// datapath/tests/equivalence.rs holds the two together.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "fib.h"
#include "packet.h"
#include "reason.h"
#include "tunnel.h"

// What every network carries: controller/src/model/validate.
#define LEAST_MTU 576

// Interfaces that take redirected frames, by index. One that does not is not here, and its frames pass.
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

// Frames and bytes sent by an adjacency, by its id.
struct entry_counter {
	__u64 frames;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct entry_counter);
} entries SEC(".maps");

// The interface that tunnels go by, which only the host knows: what comes in by it stands in the image under FIB_UNDERLAY.
// 0: none.
__u32 underlay;

// What is known of a frame. Offsets, not pointers: those die when the frame moves.
struct frame {
	void *image;
	__u32 in; // interface
	__u32 port; // index
	__u32 network; // index
	__u32 secured; // index of the domain of allowed sources; 0: all
	__u32 base; // where the frame begins, behind what was put before it
	struct fib_address src, dst;
	int v6;
	__u8 protocol;
	__u8 ttl;
	__u32 upper; // offset of what follows the IP header
	__u32 upper_len;
	__u32 ip_len;
	__u32 len; // of the frame behind its Ethernet header: what Open vSwitch compares with the MTU
};

static __always_inline void *start(struct xdp_md *ctx)
{
	return (void *)(long)ctx->data;
}

// `len` bytes at an offset of the frame, or NULL. Offsets are below 64 KiB.
static __always_inline void *bytes(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	void *at;

	offset &= 0xffff;
	fib_opaque(offset);
	at = start(ctx) + offset;
	return at + len > (void *)(long)ctx->data_end ? NULL : at;
}

static __always_inline enum reason back(struct xdp_md *ctx, int *action, enum reason reason)
{
	*action = XDP_TX;
	return reason;
}

// The header of an IPv4 packet: docs and errors as in packet/src/frame.rs.
static __always_inline enum reason parse4(struct xdp_md *ctx, struct frame *f)
{
	struct iphdr *ip = bytes(ctx, ETH_HLEN, sizeof(*ip));
	__u32 header;

	if (!ip)
		return REASON_CUT_OFF;
	header = ip->ihl * 4;
	f->ip_len = bpf_ntohs(ip->tot_len);
	f->len = bpf_xdp_get_buff_len(ctx) - ETH_HLEN;
	if (ip->version != 4 || header < sizeof(*ip) || f->ip_len < header ||
	    f->ip_len > f->len)
		return REASON_MALFORMED;
	if (ip->frag_off & bpf_htons(0x3fff))
		return REASON_FRAGMENT;
	f->v6 = 0;
	f->src = address4(ip->saddr);
	f->dst = address4(ip->daddr);
	f->protocol = ip->protocol;
	f->ttl = ip->ttl;
	f->upper = ETH_HLEN + header;
	f->upper_len = f->ip_len - header;
	return REASON_ROUTED;
}

static __always_inline enum reason parse6(struct xdp_md *ctx, struct frame *f)
{
	struct ipv6hdr *ip = bytes(ctx, ETH_HLEN, sizeof(*ip));

	if (!ip)
		return REASON_CUT_OFF;
	f->upper_len = bpf_ntohs(ip->payload_len);
	f->ip_len = sizeof(*ip) + f->upper_len;
	f->len = bpf_xdp_get_buff_len(ctx) - ETH_HLEN;
	if (ip->version != 6 || f->ip_len > f->len)
		return REASON_MALFORMED;
	switch (ip->nexthdr) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_AH:
	case IPPROTO_DSTOPTS:
		return REASON_EXTENSION;
	}
	f->v6 = 1;
	f->src = address6(&ip->saddr);
	f->dst = address6(&ip->daddr);
	f->protocol = ip->nexthdr;
	f->ttl = ip->hop_limit;
	f->upper = ETH_HLEN + sizeof(*ip);
	return REASON_ROUTED;
}

// May the port send from this address?
static __always_inline int allowed(struct frame *f, struct fib_address source, int v6)
{
	__u32 word;

	if (!f->secured)
		return 1;
	// None of these are in buckets.
	word = fib_prefix(f->secured, source.upper, source.lower, v6, fib_table_seed(f->image));
	return word >> 29 == FIB_SPECIAL && fib_argument(word) == FIB_ALLOW;
}

// Who has an address of the network: its MAC, and whether it is a router; NULL if the one who asks has it, or nobody.
static __always_inline const __u8 *owner(struct frame *f, struct fib_address target, int v6, int *router)
{
	struct fib_network *network = fib_record(f->image, FIB_NETWORKS, f->network, sizeof(*network));
	struct fib_adjacency *adjacency;
	struct fib_router_port *router_port;
	struct fib_egress *egress;
	__u32 word;

	*router = 0;
	if (!network || !network->domain)
		return NULL;
	word = fib_lookup(f->image, network->domain, target, v6);
	if (word >> 29 == FIB_ROUTER) {
		router_port = fib_record(f->image, FIB_ROUTER_PORTS, fib_argument(word), sizeof(*router_port));
		*router = 1;
		return router_port ? router_port->mac : NULL;
	}
	if (word >> 29 != FIB_ADJACENCY)
		return NULL;
	adjacency = fib_adjacency(f->image, fib_argument(word));
	if (!adjacency)
		return NULL;
	egress = fib_record(f->image, FIB_EGRESSES, adjacency->egress, sizeof(*egress));
	// Who asks for an address of its own announces it or looks for a second owner (RFC 5227): all shall hear it.
	if (!egress || (egress->kind == FIB_LOCAL && egress->ifindex == f->in))
		return NULL;
	return adjacency->dst_mac;
}

static __always_inline enum reason answer_arp(struct xdp_md *ctx, struct frame *f, int *action)
{
	struct ethhdr *eth = bytes(ctx, 0, sizeof(*eth));
	struct arp_eth *arp = bytes(ctx, ETH_HLEN, sizeof(*arp));
	const __u8 *mac;
	__be32 target;
	int router;

	if (!eth || !arp)
		return REASON_CUT_OFF;
	if (arp->hardware != bpf_htons(1) || arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_len != 6 ||
	    arp->protocol_len != 4 || arp->op != bpf_htons(1))
		return REASON_OTHER_PROTOCOL;
	// What a port may claim that may claim anything, nobody knows; and of others, only what comes from themselves: a
	// probe for a second owner (RFC 5227, 2.1.1) and an announcement shall all hear.
	if (!f->secured)
		return REASON_UNKNOWN_TARGET;
	if (mac_number(arp->sha) != mac_number(eth->h_source) || !allowed(f, address4(arp->spa), 0))
		return REASON_SPOOFED;
	if (allowed(f, address4(arp->tpa), 0))
		return REASON_UNKNOWN_TARGET;
	mac = owner(f, address4(arp->tpa), 0, &router);
	if (!mac)
		return REASON_UNKNOWN_TARGET;
	copy_mac(eth->h_dest, eth->h_source);
	copy_mac(eth->h_source, mac);
	arp->op = bpf_htons(2);
	copy_mac(arp->tha, arp->sha);
	copy_mac(arp->sha, mac);
	target = arp->tpa;
	arp->tpa = arp->spa;
	arp->spa = target;
	return back(ctx, action, REASON_ANSWERED_ARP);
}

// A solicitation with the sender's address as its only option; others are rare, and pass.
static __always_inline enum reason answer_nd(struct xdp_md *ctx, struct frame *f, int *action)
{
	struct ethhdr *eth = bytes(ctx, 0, sizeof(*eth));
	struct ipv6hdr *ip = bytes(ctx, ETH_HLEN, sizeof(*ip));
	struct nd_message *nd = bytes(ctx, ETH_HLEN + sizeof(*ip), sizeof(*nd));
	const __u8 *mac;
	__u32 change;
	int router;

	if (!eth || !ip || !nd || f->upper_len != sizeof(*nd) || nd->type != 135 || nd->code || nd->option != 1 ||
	    nd->option_len != 1 || !mac_number(nd->mac))
		return REASON_DISCOVERY;
	if (f->secured && mac_number(nd->mac) != mac_number(eth->h_source))
		return REASON_SPOOFED;
	mac = owner(f, address6(nd->target), 1, &router);
	if (!mac)
		return REASON_UNKNOWN_TARGET;
	// The pseudo-header's destination becomes the old source, its source the target.
	change = sum_without(&ip->daddr, 8) + sum_words(nd->target, 8);
	change += sum_without(nd, 1) + sum_without(&nd->flags, 2) + sum_without(&nd->option, 4);
	copy_mac(eth->h_dest, eth->h_source);
	copy_mac(eth->h_source, mac);
	ip->daddr = ip->saddr;
	__builtin_memcpy(&ip->saddr, nd->target, 16);
	nd->type = 136;
	nd->flags = router ? 0xe0 : 0x60;
	__builtin_memset(nd->reserved, 0, 3);
	nd->option = 2;
	copy_mac(nd->mac, mac);
	change += sum_words(nd, 1) + sum_words(&nd->flags, 2) + sum_words(&nd->option, 4);
	nd->checksum = checksum_after(nd->checksum, change);
	return back(ctx, action, REASON_ANSWERED_ND);
}

// The router itself is asked: an echo turns round, anything else is not for the fast path.
static __always_inline enum reason answer_echo(struct xdp_md *ctx, struct frame *f, int *action)
{
	struct ethhdr *eth = bytes(ctx, 0, sizeof(*eth));
	struct icmp_start *icmp = bytes(ctx, f->upper, 8);
	__u8 mac[ETH_ALEN];
	__u16 old;

	if (f->protocol != (f->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || f->upper_len < 8)
		return REASON_TO_ROUTER;
	if (!eth || !icmp || icmp->type != (f->v6 ? 128 : 8))
		return REASON_TO_ROUTER;
	old = *(__u16 *)icmp;
	icmp->type = f->v6 ? 129 : 0;
	icmp->checksum = checksum_after(icmp->checksum, (__u16)~old + *(__u16 *)icmp);
	copy_mac(mac, eth->h_dest);
	copy_mac(eth->h_dest, eth->h_source);
	copy_mac(eth->h_source, mac);
	if (f->v6) {
		struct ipv6hdr *ip = bytes(ctx, ETH_HLEN, sizeof(*ip));
		struct in6_addr swap;

		if (!ip)
			return REASON_CUT_OFF;
		swap = ip->daddr;
		ip->daddr = ip->saddr;
		ip->saddr = swap;
		ip->hop_limit = 64;
	} else {
		struct iphdr *ip = bytes(ctx, ETH_HLEN, sizeof(*ip));
		__be32 swap;

		if (!ip)
			return REASON_CUT_OFF;
		swap = ip->daddr;
		ip->daddr = ip->saddr;
		ip->saddr = swap;
		old = *(__u16 *)&ip->ttl;
		ip->ttl = 64;
		ip->check = checksum_after(ip->check, (__u16)~old + *(__u16 *)&ip->ttl);
	}
	return back(ctx, action, REASON_ANSWERED_ECHO);
}

// The ports of TCP, UDP and SCTP, source in the upper half; 0 where there are none: packet/src/parsed.rs.
static __always_inline __u32 transport_ports(struct xdp_md *ctx, struct frame *f)
{
	struct tcp_start *tcp;
	struct udphdr *udp;

	switch (f->protocol) {
	case IPPROTO_TCP:
		tcp = bytes(ctx, f->upper, sizeof(*tcp));
		if (!tcp || f->upper_len < sizeof(*tcp) || tcp->offset >> 4 < 5 || (tcp->offset >> 4) * 4 > f->upper_len)
			return 0;
		return bpf_ntohs(tcp->source) << 16 | bpf_ntohs(tcp->dest);
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		udp = bytes(ctx, f->upper, sizeof(*udp));
		if (!udp || f->upper_len < (f->protocol == IPPROTO_UDP ? 8 : 12))
			return 0;
		return bpf_ntohs(udp->source) << 16 | bpf_ntohs(udp->dest);
	}
	return 0;
}

static __always_inline __u32 flow_hash(struct xdp_md *ctx, struct frame *f)
{
	__u32 ports = transport_ports(ctx, f);

	return fib_flow_hash(f->image, f->src, f->dst, ports >> 16, ports, f->protocol, f->v6);
}

// Addresses that no router passes on: controller/src/pipeline/base.rs.
static __always_inline int stays_on_link(struct frame *f)
{
	__u32 src = f->src.upper >> 32, dst = f->dst.upper >> 32;

	if (f->v6)
		return src >> 22 == 0xfe80 >> 6 || dst >> 22 == 0xfe80 >> 6 || dst >> 24 == 0xff;
	return src >> 29 == 7 || dst >> 29 == 7 || src >> 24 == 127 || dst >> 24 == 127;
}

static __always_inline void count_entry(__u32 id, __u32 ip_len)
{
	struct entry_counter *counter = bpf_map_lookup_elem(&entries, &id);

	if (counter) {
		counter->frames++;
		counter->bytes += ETH_HLEN + ip_len;
	}
}

// Puts the outer headers before a frame and sends it to another chassis.
static __always_inline enum reason send_by_tunnel(struct xdp_md *ctx, struct frame *f, struct fib_adjacency *adjacency,
						  struct fib_egress *egress, int *action, enum reason reason)
{
	__u32 len = bpf_xdp_get_buff_len(ctx), hash = flow_hash(ctx, f);
	int vxlan = egress->tunnel == FIB_VXLAN;

	if ((!vxlan && egress->tunnel != FIB_GRE) || !mapped4(egress->remote) || !mapped4(egress->local) ||
	    !mac_number(egress->outer_dst))
		return REASON_NO_EGRESS;
	len += (vxlan ? sizeof(struct vxlan_outer) : sizeof(struct gre_outer)) - ETH_HLEN;
	if (len > 0xffff)
		return REASON_NO_ROOM;
	*action = bpf_redirect_map(&ports, egress->ifindex, XDP_PASS);
	if (*action != XDP_REDIRECT)
		return REASON_NO_EGRESS;
	if (vxlan) {
		struct vxlan_outer *outer;

		if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*outer)))
			return REASON_NO_ROOM;
		outer = bytes(ctx, 0, sizeof(*outer));
		if (!outer)
			return REASON_NO_ROOM;
		write_outer_ip(outer, egress, IPPROTO_UDP, len);
		outer->udp.source = bpf_htons(FIRST_SOURCE_PORT + ((__u64)hash * SOURCE_PORTS >> 32));
		outer->udp.dest = bpf_htons(egress->udp_port);
		outer->udp.len = bpf_htons(len - sizeof(outer->ip));
		outer->udp.check = 0;
		outer->flags = bpf_htonl(VXLAN_FLAGS);
		outer->vni = bpf_htonl(adjacency->segment << 8);
		f->base = sizeof(*outer);
	} else {
		struct gre_outer *outer;

		if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*outer)))
			return REASON_NO_ROOM;
		outer = bytes(ctx, 0, sizeof(*outer));
		if (!outer)
			return REASON_NO_ROOM;
		write_outer_ip(outer, egress, IPPROTO_GRE, len);
		outer->flags = bpf_htons(GRE_KEY);
		outer->protocol = bpf_htons(GRE_ETHERNET);
		outer->key = bpf_htonl(adjacency->segment);
		f->base = sizeof(*outer);
	}
	count_entry(adjacency->id, f->ip_len);
	return reason;
}

// Sends a frame by an egress. Asked before the frame is changed: what cannot be sent must pass as it was.
static __always_inline enum reason send(struct xdp_md *ctx, struct frame *f, struct fib_adjacency *adjacency,
					int *action, enum reason reason)
{
	struct fib_egress *egress = fib_record(f->image, FIB_EGRESSES, adjacency->egress, sizeof(*egress));

	if (!egress || egress->flags & FIB_SLOW || !egress->ifindex)
		return REASON_NO_EGRESS;
	if (egress->kind == FIB_TUNNEL)
		return reason == REASON_DELIVERED ? REASON_NO_EGRESS :
						    send_by_tunnel(ctx, f, adjacency, egress, action, reason);
	if (egress->kind != FIB_LOCAL)
		return REASON_NO_EGRESS;
	// Open vSwitch does not send a frame back to where it came from, unless a router turned it round.
	if (reason == REASON_SWITCHED && egress->ifindex == f->in)
		return REASON_BACK;
	*action = bpf_redirect_map(&ports, egress->ifindex, XDP_PASS);
	if (*action != XDP_REDIRECT)
		return REASON_NO_EGRESS;
	count_entry(adjacency->id, f->ip_len);
	return reason;
}

// Takes `hops` from the TTL and writes the MACs of the adjacency.
static __always_inline void rewrite(struct xdp_md *ctx, struct frame *f, struct fib_adjacency *adjacency, __u8 hops)
{
	struct ethhdr *eth = bytes(ctx, f->base, sizeof(*eth));
	struct iphdr *ip = bytes(ctx, f->base + ETH_HLEN, sizeof(*ip)); // the fixed part of IPv6 is longer
	__u16 old;

	if (!eth || !ip)
		return;
	copy_mac(eth->h_dest, adjacency->dst_mac);
	copy_mac(eth->h_source, adjacency->src_mac);
	if (f->v6) {
		((struct ipv6hdr *)ip)->hop_limit -= hops;
	} else {
		old = *(__u16 *)&ip->ttl;
		ip->ttl -= hops;
		ip->check = checksum_after(ip->check, (__u16)~old + *(__u16 *)&ip->ttl);
	}
}

static __always_inline enum reason route(struct xdp_md *ctx, struct frame *f, struct fib_router_port *door, int *action)
{
	struct fib_adjacency *adjacency = NULL;
	__u32 domain = door->domain, word;
	enum reason reason;
	__u8 hops;

	if (stays_on_link(f))
		return REASON_SCOPE;
	for (hops = 1;; hops++) {
		word = fib_lookup(f->image, domain, f->dst, f->v6);
		// What is for the router itself has no next hop: its TTL does not matter.
		if (word >> 29 == FIB_ROUTER)
			return hops == 1 ? answer_echo(ctx, f, action) : REASON_TO_ROUTER;
		if (f->ttl <= hops)
			return REASON_TTL;
		if (word >> 29 != FIB_OTHER)
			break;
		if (hops == FIB_MAX_VRFS)
			return REASON_LOOP;
		domain = fib_argument(word);
	}
	if (word >> 29 == FIB_ADJACENCY)
		adjacency = fib_adjacency(f->image, fib_argument(word));
	else if (word >> 29 == FIB_GROUP)
		adjacency = fib_adjacency(f->image, fib_choose(fib_argument(word), flow_hash(ctx, f),
							       fib_table_seed(f->image)));
	else if (fib_argument(word) == FIB_UNREACHABLE)
		return REASON_REFUSED;
	else if (fib_argument(word) == FIB_BLACKHOLE)
		return REASON_BLACKHOLE;
	if (!adjacency)
		return REASON_NO_ROUTE;
	// The networks between routers are not in the image; none has a smaller MTU than this.
	if (f->len > (hops > 1 ? LEAST_MTU : adjacency->mtu))
		return REASON_TOO_BIG;
	reason = send(ctx, f, adjacency, action, REASON_ROUTED);
	if (reason == REASON_ROUTED)
		rewrite(ctx, f, adjacency, hops);
	return reason;
}

// By MAC: to a station as it is, or into a router.
static __always_inline enum reason by_station(struct xdp_md *ctx, struct frame *f, __u64 mac, int *action)
{
	__u32 word = fib_find(f->image, FIB_STATIONS, (__u64)f->network << 48 | mac);
	struct fib_adjacency *adjacency;
	struct fib_router_port *door;

	if (word >> 29 == FIB_ROUTER) {
		door = fib_record(f->image, FIB_ROUTER_PORTS, fib_argument(word), sizeof(*door));
		if (!door || door->flags & FIB_SLOW)
			return REASON_SLOW;
		return route(ctx, f, door, action);
	}
	adjacency = word >> 29 == FIB_ADJACENCY ? fib_adjacency(f->image, fib_argument(word)) : NULL;
	return adjacency ? send(ctx, f, adjacency, action, REASON_SWITCHED) : REASON_UNKNOWN_STATION;
}

static __always_inline enum reason from_port(struct xdp_md *ctx, struct frame *f, int *action)
{
	struct ethhdr *eth = bytes(ctx, 0, sizeof(*eth));
	enum reason reason;
	__u64 mac;
	int group;

	if (!eth)
		return REASON_CUT_OFF;
	mac = mac_number(eth->h_dest);
	group = eth->h_dest[0] & 1;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_ARP):
		return answer_arp(ctx, f, action);
	case bpf_htons(ETH_P_IP):
		reason = parse4(ctx, f);
		break;
	case bpf_htons(ETH_P_IPV6):
		reason = parse6(ctx, f);
		break;
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return REASON_TAGGED;
	default:
		return REASON_OTHER_PROTOCOL;
	}
	if (reason != REASON_ROUTED)
		return reason;
	if (!allowed(f, f->src, f->v6))
		return REASON_SPOOFED;
	if (f->v6 && f->protocol == IPPROTO_ICMPV6) {
		struct icmp_start *icmp = bytes(ctx, f->upper, sizeof(*icmp));

		if (!icmp)
			return REASON_CUT_OFF;
		// Router and neighbour discovery: RFC 4861, 4.1 to 4.5.
		if (icmp->type >= 133 && icmp->type <= 137)
			return answer_nd(ctx, f, action);
	}
	if (group)
		return REASON_GROUP_ADDRESS;
	return by_station(ctx, f, mac, action);
}

// What a tunnel's frame carries before it: the network's index, and the length of what has to go; 0 if it is not ours.
static __always_inline __u32 parse_outer(struct xdp_md *ctx, struct frame *f, __u32 ends, __u32 *network)
{
	struct vxlan_outer *vxlan;
	struct gre_outer *gre = bytes(ctx, 0, sizeof(*gre));
	struct fib_address dst;
	__u64 key, length;
	__u32 word;

	if (!gre || gre->eth.h_proto != bpf_htons(ETH_P_IP) || *(__u8 *)&gre->ip != 0x45 ||
	    gre->ip.frag_off & bpf_htons(0x3fff) || sum_fold(sum_words((void *)gre + ETH_HLEN, 10)) != 0xffff)
		return 0;
	length = bpf_ntohs(gre->ip.tot_len);
	if (length + ETH_HLEN != bpf_xdp_get_buff_len(ctx))
		return 0;
	dst = address4(gre->ip.daddr);
	word = fib_prefix(ends, dst.upper, 0, 0, fib_table_seed(f->image));
	if (!ends || word >> 29 != FIB_SPECIAL || fib_argument(word) != FIB_ALLOW)
		return 0;
	vxlan = bytes(ctx, 0, sizeof(*vxlan));
	if (vxlan && vxlan->ip.protocol == IPPROTO_UDP) {
		if (vxlan->udp.dest != bpf_htons(VXLAN_PORT) || vxlan->udp.check ||
		    bpf_ntohs(vxlan->udp.len) + sizeof(vxlan->ip) != length || vxlan->flags != bpf_htonl(VXLAN_FLAGS) ||
		    vxlan->vni & bpf_htonl(0xff))
			return 0;
		key = (__u64)FIB_VXLAN << 24 | bpf_ntohl(vxlan->vni) >> 8;
		length = sizeof(*vxlan);
	} else if (gre->ip.protocol == IPPROTO_GRE) {
		if (gre->flags != bpf_htons(GRE_KEY) || gre->protocol != bpf_htons(GRE_ETHERNET) ||
		    gre->key & bpf_htonl(0xff000000))
			return 0;
		key = (__u64)FIB_GRE << 24 | bpf_ntohl(gre->key);
		length = sizeof(*gre);
	} else {
		return 0;
	}
	*network = fib_find(f->image, FIB_INGRESS, (__u64)FIB_BY_TUNNEL << 56 | key);
	return *network ? length : 0;
}

// A tunnel's frame goes to a local port; it was checked, and routed if need be, where it came in.
static __always_inline enum reason from_underlay(struct xdp_md *ctx, struct frame *f, struct fib_port *port, int *action)
{
	__u32 outer = parse_outer(ctx, f, port->domain, &f->network), word;
	struct fib_adjacency *adjacency;
	struct fib_network *network;
	enum reason reason;
	struct ethhdr *eth;

	if (!outer)
		return REASON_NOT_OURS;
	network = fib_record(f->image, FIB_NETWORKS, f->network, sizeof(*network));
	if (!network || network->flags & FIB_SLOW)
		return REASON_SLOW;
	eth = bytes(ctx, outer, sizeof(*eth));
	if (!eth)
		return REASON_CUT_OFF;
	word = fib_find(f->image, FIB_STATIONS, (__u64)f->network << 48 | mac_number(eth->h_dest));
	adjacency = word >> 29 == FIB_ADJACENCY ? fib_adjacency(f->image, fib_argument(word)) : NULL;
	if (!adjacency)
		return REASON_UNKNOWN_STATION;
	f->ip_len = bpf_xdp_get_buff_len(ctx) - outer - ETH_HLEN;
	reason = send(ctx, f, adjacency, action, REASON_DELIVERED);
	if (reason == REASON_DELIVERED && bpf_xdp_adjust_head(ctx, outer))
		return REASON_NO_ROOM;
	return reason;
}

static __always_inline enum reason decide(struct xdp_md *ctx, int *action)
{
	struct frame f = { .image = fib_image(), .in = ctx->ingress_ifindex };
	__u32 in = f.in == underlay ? FIB_UNDERLAY : f.in;
	struct fib_network *network;
	struct fib_port *port;
	struct ethhdr *eth;

	if (!f.image || !((struct fib_header *)f.image)->units)
		return REASON_NO_IMAGE;
	f.port = fib_find(f.image, FIB_INGRESS, (__u64)FIB_BY_IFINDEX << 56 | in);
	port = f.port ? fib_record(f.image, FIB_PORTS, f.port, sizeof(*port)) : NULL;
	if (!port)
		return REASON_NOT_A_PORT;
	if (!(port->flags & FIB_SLOW) && port->flags & FIB_UPLINK)
		return from_underlay(ctx, &f, port, action);
	f.network = port->network;
	network = fib_record(f.image, FIB_NETWORKS, f.network, sizeof(*network));
	if (port->flags & FIB_SLOW || !network || network->flags & FIB_SLOW)
		return REASON_SLOW;
	eth = bytes(ctx, 0, sizeof(*eth));
	if (!eth)
		return REASON_CUT_OFF;
	if (port->flags & FIB_SECURED) {
		f.secured = fib_find(f.image, FIB_BINDINGS, (__u64)f.port << 48 | mac_number(eth->h_source));
		if (!f.secured)
			return REASON_SPOOFED;
	}
	return from_port(ctx, &f, action);
}

SEC("xdp.frags")
int router(struct xdp_md *ctx)
{
	int action = XDP_PASS;
	__u32 reason = decide(ctx, &action);
	__u64 *counter = bpf_map_lookup_elem(&counters, &reason);

	if (counter)
		++*counter;
	return reason <= REASON_LAST_DONE ? action : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
