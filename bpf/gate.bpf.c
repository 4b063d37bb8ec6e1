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

// Is there somebody behind the sockets? A process that is killed keeps its sockets for tens of milliseconds.
struct pulse {
	__u64 handed; // frames given to sockets
	__u64 taken; // by the worker: what it saw of `handed` when it last looked after the port
	__u64 seen; // what was last seen of `taken`
	__u64 since; // nanoseconds: when that was new, or nothing was waiting
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pulse);
} pulses SEC(".maps");

// So long a worker may leave frames lying; what comes later goes to the switch until it looks again. The clock's tick
// comes to this.
#define PATIENCE_NS 4000000

// 1: of what comes in, only tunnels' frames: the rest is the host's own.
const volatile __u32 is_underlay;

// datapath/src/xsk.rs.
#define MAX_FRAME 3000

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

static __always_inline int is_alive(struct pulse *pulse)
{
	__u64 now = bpf_ktime_get_coarse_ns(), taken = *(volatile __u64 *)&pulse->taken;

	if (taken == pulse->seen && taken != pulse->handed)
		return now - pulse->since <= PATIENCE_NS;
	pulse->seen = taken;
	pulse->since = now;
	return 1;
}

SEC("xdp.frags")
int gate(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 len = bpf_xdp_get_buff_len(ctx);
	struct pulse *pulse;
	__u32 zero = 0;
	int action;

	// Jumbo frames, of several buffers, find no room in one frame of a socket, nor on the way back.
	if (len > MAX_FRAME || len != (__u64)(end - (void *)eth))
		return XDP_PASS;
	if ((void *)(eth + 1) > end || !(is_underlay ? is_tunnel(eth, end) : is_guest(eth)))
		return XDP_PASS;
	pulse = bpf_map_lookup_elem(&pulses, &zero);
	if (!pulse || !is_alive(pulse))
		return XDP_PASS;
	action = bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
	// Several processors may count at once and forget some: all that matters is that it changes.
	pulse->handed += action == XDP_REDIRECT;
	return action;
}

SEC("xdp.frags")
int back(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
