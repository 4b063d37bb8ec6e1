// SPDX-License-Identifier: Apache-2.0
// For measurements: a source of frames for BPF_PROG_RUN with live frames, a sink that counts, and the routers that ours
// is compared with.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "packet.h"

#define AF_INET 2

#define RESTORED 60

const volatile struct {
	__u8 bytes[64]; // the first RESTORED count
	__u32 first; // destination, host order
	__u32 destinations; // 0: as the bytes say
} frames SEC(".rodata");

// By what a frame came in, or 0 -> where it goes.
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} wires SEC(".maps");

// 0: frames sent to one of several destinations, 1: frames that arrived.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline __u64 count(__u32 which)
{
	__u64 *counter = bpf_map_lookup_elem(&counts, &which);

	return counter ? (*counter)++ : 0;
}

// Frames come back changed: what a router may have written is written anew.
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__u32 *words = (__u32 *)eth;

	if ((void *)eth + RESTORED > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	// Volatile to the last: the compiler sees a constant here, and would take what it holds before it is loaded.
	for (int i = 0; i < RESTORED / 4; i++)
		words[i] = ((const volatile __u32 *)frames.bytes)[i];
	if (frames.destinations) {
		ip->daddr = bpf_htonl(frames.first + (__u32)count(0) % frames.destinations);
		ip->check = 0;
		ip->check = ~sum_fold(sum_words(ip, 10));
	}
	return bpf_redirect_map(&wires, 0, XDP_ABORTED);
}

SEC("xdp")
int absorb(struct xdp_md *ctx)
{
	count(1);
	return XDP_DROP;
}

// MACs, TTL and out, without asking any table: what a router cannot be better than.
SEC("xdp")
int rewrite(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__u8 mac[ETH_ALEN] __attribute__((aligned(4)));
	__u16 old;

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	copy_mac(mac, eth->h_dest);
	copy_mac(eth->h_dest, eth->h_source);
	copy_mac(eth->h_source, mac);
	old = *(__u16 *)&ip->ttl;
	ip->ttl--;
	ip->check = checksum_after(ip->check, (__u16)~old + *(__u16 *)&ip->ttl);
	return bpf_redirect_map(&wires, ctx->ingress_ifindex, XDP_PASS);
}

// The kernel's own table, asked from XDP.
SEC("xdp")
int kernel_table(struct xdp_md *ctx)
{
	struct bpf_fib_lookup query = { .family = AF_INET, .ifindex = ctx->ingress_ifindex };
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__u16 old;

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || ip->ttl <= 1)
		return XDP_PASS;
	query.tos = ip->tos;
	query.l4_protocol = ip->protocol;
	query.tot_len = bpf_ntohs(ip->tot_len);
	query.ipv4_src = ip->saddr;
	query.ipv4_dst = ip->daddr;
	if (bpf_fib_lookup(ctx, &query, sizeof(query), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return XDP_PASS;
	// On the stack, only aligned loads are allowed.
	__builtin_memcpy(eth->h_dest, query.dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, query.smac, ETH_ALEN);
	old = *(__u16 *)&ip->ttl;
	ip->ttl--;
	ip->check = checksum_after(ip->check, (__u16)~old + *(__u16 *)&ip->ttl);
	return bpf_redirect_map(&wires, query.ifindex, XDP_PASS);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
