// SPDX-License-Identifier: Apache-2.0
// AF_XDP: one object a port. `gate` hands to a socket what the worker may be able to forward, by its kind alone; without a
// socket, all passes. `back` gives a frame of a worker to the kernel as if it had just come in.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "tunnel.h"

// By queue.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

// 1: of what comes in, only tunnels' frames: the rest is the host's own.
const volatile __u32 is_underlay;

static __always_inline int is_tunnel(struct ethhdr *eth, void *end)
{
	struct vxlan_outer *outer = (void *)eth;

	if ((void *)(outer + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return 0;
	return outer->ip.protocol == IPPROTO_GRE ||
	       (outer->ip.protocol == IPPROTO_UDP && outer->udp.dest == bpf_htons(VXLAN_PORT));
}

// Unicast, and the question for an address.
static __always_inline int is_guest(struct ethhdr *eth)
{
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return 1;
	if (eth->h_dest[0] & 1) // neighbour solicitations go to a group
		return eth->h_proto == bpf_htons(ETH_P_IPV6) && eth->h_dest[0] == 0x33 && eth->h_dest[2] == 0xff;
	return eth->h_proto == bpf_htons(ETH_P_IP) || eth->h_proto == bpf_htons(ETH_P_IPV6);
}

SEC("xdp")
int gate(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if ((void *)(eth + 1) > end || !(is_underlay ? is_tunnel(eth, end) : is_guest(eth)))
		return XDP_PASS;
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp")
int back(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
