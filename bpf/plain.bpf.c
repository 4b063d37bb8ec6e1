// SPDX-License-Identifier: Apache-2.0
// Two programs that know no table: every frame of one port goes to another, and every frame is dropped.
// They are the limit that the router is measured against, and the probe of the self-test.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// Interface a frame came in by -> interface it leaves by.
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} wires SEC(".maps");

SEC("xdp.frags")
int wire(struct xdp_md *ctx)
{
	return bpf_redirect_map(&wires, ctx->ingress_ifindex, XDP_PASS);
}

SEC("xdp.frags")
int sink(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
