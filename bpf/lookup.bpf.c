// SPDX-License-Identifier: Apache-2.0
// Lookups alone, many in one run: for the comparison with the Rust walker, and for measurements beside the kernel's own
// maps. Each program looks up all keys once.
#include <linux/bpf.h>
#include "fib.h"
#include "reason.h"

#define KEYS 65536

/* Nothing uses it: its type is what the layouts of Rust are compared with. */
struct layouts {
	struct fib_header header;
	struct fib_section section;
	struct fib_bucket bucket;
	struct fib_bucket6 bucket6;
	struct fib_domain domain;
	struct fib_inner inner;
	struct fib_leaf leaf;
	struct fib_runs runs;
	struct fib_adjacency adjacency;
	struct fib_group group;
	struct fib_member member;
	struct fib_egress egress;
	struct fib_port port;
	struct fib_network network;
	struct fib_router_port router_port;
	enum reason reason;
} *layouts __attribute__((unused));

struct lookup_key {
	__u64 upper;
	__u64 lower;
	__u32 vrf;
	__u32 v6;
};

struct lookup_answer {
	__u32 word;
	__u32 adjacency; /* what was read of it, so that reading cannot be left out */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KEYS);
	__type(key, __u32);
	__type(value, struct lookup_key);
} keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KEYS);
	__type(key, __u32);
	__type(value, struct lookup_answer);
} answers SEC(".maps");

/* The peers: the same routes, hosts by hash, prefixes by trie, and the adjacency in an array. */
struct host_key {
	__u32 vrf;
	__u32 addr;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct host_key);
	__type(value, __u32);
} hosts SEC(".maps");

struct prefix_key {
	__u32 length;
	__u32 vrf; /* network order, as the next */
	__u32 addr;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix_key);
	__type(value, __u32);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fib_adjacency);
} adjacencies SEC(".maps");

static __always_inline __u32 taste(struct fib_adjacency *adjacency)
{
	return adjacency->egress ^ adjacency->segment ^ *(__u32 *)adjacency->dst_mac ^ *(__u32 *)adjacency->src_mac;
}

static __always_inline void answer(__u32 i, __u32 word, struct fib_adjacency *adjacency)
{
	struct lookup_answer *to = bpf_map_lookup_elem(&answers, &i);

	if (!to)
		return;
	to->word = word;
	to->adjacency = adjacency ? taste(adjacency) : 0;
}

/* Keys of this program have the index of the domain where others have the VRF. */
static long by_image(__u32 i, void *unused)
{
	struct lookup_key *key = bpf_map_lookup_elem(&keys, &i);
	void *image = fib_image();
	struct fib_address address;
	__u32 word;

	if (!key || !image)
		return 1;
	address.upper = key->upper;
	address.lower = key->lower;
	word = fib_lookup(image, key->vrf, address, key->v6);
	answer(i, word, word >> 29 == FIB_ADJACENCY ? fib_adjacency(image, fib_argument(word)) : NULL);
	return 0;
}

static __always_inline void by_peer(__u32 i, __u32 *value)
{
	answer(i, value ? *value : 0, value ? bpf_map_lookup_elem(&adjacencies, value) : NULL);
}

static long by_hash(__u32 i, void *unused)
{
	struct lookup_key *key = bpf_map_lookup_elem(&keys, &i);
	struct host_key host;

	if (!key)
		return 1;
	host.vrf = key->vrf;
	host.addr = key->upper >> 32;
	by_peer(i, bpf_map_lookup_elem(&hosts, &host));
	return 0;
}

static long by_trie(__u32 i, void *unused)
{
	struct lookup_key *key = bpf_map_lookup_elem(&keys, &i);
	struct prefix_key prefix;

	if (!key)
		return 1;
	prefix.length = 64;
	prefix.vrf = __builtin_bswap32(key->vrf);
	prefix.addr = __builtin_bswap32(key->upper >> 32);
	by_peer(i, bpf_map_lookup_elem(&prefixes, &prefix));
	return 0;
}

static long by_nothing(__u32 i, void *unused)
{
	struct lookup_key *key = bpf_map_lookup_elem(&keys, &i);

	if (!key)
		return 1;
	answer(i, key->vrf, NULL);
	return 0;
}

SEC("xdp")
int lookup_image(struct xdp_md *ctx)
{
	return bpf_loop(KEYS, by_image, NULL, 0) == KEYS ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int lookup_hash(struct xdp_md *ctx)
{
	return bpf_loop(KEYS, by_hash, NULL, 0) == KEYS ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int lookup_trie(struct xdp_md *ctx)
{
	return bpf_loop(KEYS, by_trie, NULL, 0) == KEYS ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
int lookup_nothing(struct xdp_md *ctx)
{
	return bpf_loop(KEYS, by_nothing, NULL, 0) == KEYS ? XDP_PASS : XDP_ABORTED;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
