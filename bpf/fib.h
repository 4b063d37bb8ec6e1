/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FIB image, version 2, for eBPF: the records of docs/fib-format.md and the walk over them.
 *
 * The layouts are compared with those of the Rust crate `fib` through BTF, the answers through BPF_PROG_TEST_RUN
 * (datapath/tests/). Every access goes through fib_at(), so that a damaged image gives wrong answers but never an access
 * out of its bounds.
 *
 * Who includes this defines nothing; who loads the program sets `image_size` before.
 */
#ifndef FIB_H
#define FIB_H

#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FIB_UNIT 64
#define FIB_OFFSET_MASK ((1U << 23) - 1)
#define FIB_SECTION_SLOTS 16
#define FIB_MAX_VRFS 4
#define FIB_MAX_STEPS 5
#define FIB_MAX_LEVELS 5
#define FIB_UNDERLAY (~0U) /* the interface of the underlay's port, whichever it is on this host */
#define FIB_PREFIXES_ONLY (1U << 31) /* of a domain's number: none of its hosts are in buckets */

enum fib_section_number {
	FIB_HOSTS4,
	FIB_HOSTS6,
	FIB_INGRESS,
	FIB_STATIONS,
	FIB_BINDINGS,
	FIB_DOMAINS,
	FIB_ADJACENCIES,
	FIB_GROUPS,
	FIB_EGRESSES,
	FIB_PORTS,
	FIB_NETWORKS,
	FIB_ROUTER_PORTS,
	FIB_POOL,
};

enum fib_kind { FIB_SPECIAL, FIB_ADJACENCY, FIB_GROUP, FIB_OTHER, FIB_ROUTER, FIB_TREE, FIB_WIDE, FIB_CHUNK };
enum fib_special { FIB_NONE, FIB_BLACKHOLE, FIB_UNREACHABLE, FIB_ALLOW };
enum fib_ingress { FIB_BY_IFINDEX = 1, FIB_BY_OFPORT, FIB_BY_TUNNEL, FIB_BY_VLAN, FIB_BY_VRF };
enum fib_egress_kind { FIB_LOCAL = 1, FIB_TUNNEL, FIB_VLAN };
enum fib_tunnel { FIB_VXLAN = 1, FIB_GENEVE, FIB_GRE };
enum fib_flag { FIB_SLOW = 1, FIB_SECURED = 2, FIB_UPLINK = 4 };

struct fib_section {
	__u32 offset;
	__u32 count;
};

struct fib_header {
	__u8 magic[8];
	__u16 version;
	__u16 header_len;
	__u32 flags;
	__u32 units;
	__u32 section_count;
	__u64 epoch;
	__u64 flow_seed;
	__u64 table_seed;
	__u64 checksum;
	__u8 reserved[8];
	struct fib_section sections[FIB_SECTION_SLOTS];
	__u64 checksums[FIB_SECTION_SLOTS];
};

struct fib_bucket {
	__u64 keys[5];
	__u32 words[5];
	__u32 overflow;
};

struct fib_bucket6 {
	__u64 addrs[2][2];
	__u32 tags[2];
	__u32 words[2];
	__u32 overflow;
	__u8 reserved[12];
};

struct fib_domain {
	__u32 root4;
	__u32 default4;
	__u32 root6;
	__u32 default6;
	__u32 kind;
	__u32 id;
	__u8 reserved[8];
};

struct fib_inner {
	__u32 starts[15];
	__u32 children;
};

struct fib_leaf {
	__u32 starts[7];
	__u32 count;
	__u32 words[8];
};

struct fib_runs {
	__u64 starts;
	__u32 base;
	__u8 reserved[4];
};

struct fib_adjacency {
	__u8 dst_mac[6];
	__u16 mtu;
	__u8 src_mac[6];
	__u16 used;
	__u32 egress;
	__u32 segment;
	__u32 network;
	__u32 id;
};

struct fib_group {
	__u32 id;
	__u32 count;
};

struct fib_member {
	__u32 key;
	__u32 adjacency;
};

struct fib_egress {
	__u8 kind;
	__u8 tunnel;
	__u16 udp_port;
	__u32 port;
	__u32 ifindex;
	__u32 ofport;
	__u8 remote[16];
	__u8 local[16];
	__u8 outer_dst[6];
	__u8 outer_src[6];
	__u32 flags;
};

struct fib_port {
	__u32 key;
	__u32 ifindex;
	__u32 ofport;
	__u32 network;
	__u32 domain;
	__u32 flags;
	__u8 reserved[8];
};

struct fib_network {
	__u32 key;
	__u32 domain;
	__u16 mtu;
	__u8 reserved[2];
	__u32 flags;
	__u8 reserved2[16];
};

struct fib_router_port {
	__u8 mac[6];
	__u16 mtu;
	__u32 network;
	__u32 domain;
	__u32 id;
	__u32 flags;
	__u8 reserved[8];
};

/* Size of the map's value in bytes, at most 2^29. Read-only, so that the verifier knows it. */
const volatile __u32 image_size = 1 << 20;

/* The one-element array that holds the image, within the one-element array that is swapped. */
struct fib_image_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__uint(value_size, 1 << 20);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct fib_image_map);
} images SEC(".maps");

/* Hides a value's origin from the compiler: it shall not turn arithmetic into jumps, nor check one register and use
 * another. */
#define fib_opaque(x) asm volatile("" : "+r"(x))

/* The image; NULL before there is one. */
static __always_inline void *fib_image(void)
{
	__u32 zero = 0;
	void *inner = bpf_map_lookup_elem(&images, &zero);

	return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

/* `len` bytes at an offset, or NULL if they are not all in the image. */
static __always_inline void *fib_at(void *image, __u64 offset, __u32 len)
{
	fib_opaque(offset);
	if (offset > image_size - len)
		return NULL;
	fib_opaque(offset);
	return image + offset;
}

/* A section in one load: its offset in the lower half, its count in the upper. */
static __always_inline __u64 fib_section(void *image, enum fib_section_number number)
{
	struct fib_header *header = image;

	return *(volatile __u64 *)&header->sections[number];
}

/* A record of a section of records of `size` bytes; NULL if there are not so many. */
static __always_inline void *fib_record(void *image, enum fib_section_number number, __u32 index, __u32 size)
{
	__u64 section = fib_section(image, number);

	if (index >= section >> 32)
		return NULL;
	return fib_at(image, (section & FIB_OFFSET_MASK) * FIB_UNIT + (__u64)index * size, size);
}

static __always_inline __u64 fib_mix(__u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static __always_inline __u64 fib_table_seed(void *image)
{
	return ((struct fib_header *)image)->table_seed;
}

/* The number of the home bucket, or of the other. */
static __always_inline __u64 fib_home(__u64 hash, __u64 count)
{
	return (hash >> 32) * count >> 32;
}

static __always_inline __u64 fib_other(__u64 hash, __u64 count)
{
	__u64 home = fib_home(hash, count), other = (hash & 0xffffffff) * count >> 32;

	if (other != home)
		return other;
	return home + 1 == count ? 0 : home + 1;
}

static __always_inline __u32 fib_slot(struct fib_bucket *bucket, __u64 key)
{
	for (int i = 0; i < 5; i++)
		if (bucket->keys[i] == key)
			return bucket->words[i];
	return 0;
}

/* The word of a key in a section of buckets; 0 if it is not there. */
static __always_inline __u32 fib_find(void *image, enum fib_section_number number, __u64 key)
{
	__u64 section = fib_section(image, number), count = section >> 32;
	__u64 base = section & FIB_OFFSET_MASK;
	__u64 hash = fib_mix(key ^ fib_table_seed(image));
	struct fib_bucket *bucket = fib_at(image, (base + fib_home(hash, count)) * FIB_UNIT, FIB_UNIT);
	__u32 word;

	if (!bucket)
		return 0;
	word = fib_slot(bucket, key);
	if (word || !bucket->overflow)
		return word;
	bucket = fib_at(image, (base + fib_other(hash, count)) * FIB_UNIT, FIB_UNIT);
	return bucket ? fib_slot(bucket, key) : 0;
}

static __always_inline __u32 fib_slot6(struct fib_bucket6 *bucket, __u32 tag, __u64 upper, __u64 lower)
{
	for (int i = 0; i < 2; i++)
		if (bucket->tags[i] == tag && bucket->addrs[i][0] == upper && bucket->addrs[i][1] == lower)
			return bucket->words[i];
	return 0;
}

/* The word of an IPv6 host; 0 if it is not there. */
static __always_inline __u32 fib_find6(void *image, __u32 domain, __u64 upper, __u64 lower)
{
	__u64 section = fib_section(image, FIB_HOSTS6), count = section >> 32;
	__u64 base = section & FIB_OFFSET_MASK;
	__u32 tag = domain << 8 | 1, word;
	__u64 hash = fib_mix(fib_mix(fib_mix(tag ^ fib_table_seed(image)) ^ upper) ^ lower);
	struct fib_bucket6 *bucket = fib_at(image, (base + fib_home(hash, count)) * FIB_UNIT, FIB_UNIT);

	if (!bucket)
		return 0;
	word = fib_slot6(bucket, tag, upper, lower);
	if (word || !bucket->overflow)
		return word;
	bucket = fib_at(image, (base + fib_other(hash, count)) * FIB_UNIT, FIB_UNIT);
	return bucket ? fib_slot6(bucket, tag, upper, lower) : 0;
}

/* 1 if start <= key, without a jump: each jump doubles what the verifier looks at. */
static __always_inline __u64 fib_not_above(__u32 start, __u64 key)
{
	__u64 difference = key - start;

	fib_opaque(difference);
	return ~difference >> 63;
}

/* A tree takes the first 32 bits, as the number `key`. */
static __always_inline __u32 fib_tree(void *image, __u32 word, __u64 key)
{
	__u32 levels = word >> 26 & 7;
	__u64 at = word & FIB_OFFSET_MASK, n;
	struct fib_leaf *leaf;

	for (__u32 level = 1; level < FIB_MAX_LEVELS && level < levels; level++) {
		struct fib_inner *inner = fib_at(image, at * FIB_UNIT, FIB_UNIT);
		__u64 last;

		if (!inner)
			return 0;
		n = 0;
		for (int i = 0; i < 15; i++)
			n += fib_not_above(inner->starts[i], key);
		last = inner->children >> 28;
		at = (inner->children & FIB_OFFSET_MASK) + (n < last ? n : last);
	}
	leaf = fib_at(image, at * FIB_UNIT, FIB_UNIT);
	if (!leaf)
		return 0;
	n = 0;
	for (int i = 0; i < 7; i++)
		n += fib_not_above(leaf->starts[i], key);
	return leaf->words[n & 7];
}

/* Hacker's Delight, 5-1: BPF has no instruction for it. */
static __always_inline __u32 fib_ones(__u64 x)
{
	x -= x >> 1 & 0x5555555555555555ULL;
	x = (x & 0x3333333333333333ULL) + (x >> 2 & 0x3333333333333333ULL);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return x * 0x0101010101010101ULL >> 56;
}

/* A wide table takes the first 24 bits, as the number `key`. */
static __always_inline __u32 fib_wide(void *image, __u32 word, __u32 key)
{
	__u64 base = (__u64)(word & FIB_OFFSET_MASK) * FIB_UNIT;
	__u32 *answer = fib_at(image, base + (key >> 14) * 4, 4);
	struct fib_runs *runs;

	if (!answer || *answer >> 29 != FIB_CHUNK)
		return answer ? *answer : 0;
	base = (__u64)(*answer & FIB_OFFSET_MASK) * FIB_UNIT;
	runs = fib_at(image, base + (key >> 6 & 255) * sizeof(*runs), sizeof(*runs));
	if (!runs)
		return 0;
	key = runs->base + fib_ones(runs->starts & ~0ULL >> (63 - (key & 63))) - 1;
	answer = fib_at(image, base + 256 * sizeof(*runs) + (__u64)key * 4, 4);
	return answer ? *answer : 0;
}

/* An address, from its first bit on; IPv4 stands in the first 32. */
struct fib_address {
	__u64 upper;
	__u64 lower;
};

static __always_inline struct fib_address address4(__be32 address)
{
	struct fib_address number = { .upper = (__u64)bpf_ntohl(address) << 32 };

	return number;
}

static __always_inline __u64 number64(const void *bytes)
{
	const __u32 *words = bytes;

	return (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]);
}

static __always_inline struct fib_address address6(const void *bytes)
{
	struct fib_address number = { .upper = number64(bytes), .lower = number64(bytes + 8) };

	return number;
}

/*
 * The same without the hosts in buckets. A function of its own, which the verifier looks at once, not once for each
 * caller: it cannot be given the image, so it gets the seed, which no two images share. 0 if the image was swapped in
 * between.
 */
__attribute__((noinline)) __u32 fib_prefix(__u32 index, __u64 upper, __u64 lower, __u32 v6, __u64 seed)
{
	void *image = fib_image();
	struct fib_domain *domain;
	__u32 word, rest;

	if (!image || fib_table_seed(image) != seed)
		return 0;
	domain = fib_record(image, FIB_DOMAINS, index & ~FIB_PREFIXES_ONLY, sizeof(*domain));
	if (!domain)
		return 0;
	word = v6 ? domain->root6 : domain->root4;
	rest = v6 ? domain->default6 : domain->default4;
	for (int step = 0; step < FIB_MAX_STEPS; step++) {
		if (word >> 29 == FIB_TREE) {
			word = fib_tree(image, word, upper >> 32);
			upper = upper << 32 | lower >> 32;
			lower <<= 32;
		} else if (word >> 29 == FIB_WIDE) {
			word = fib_wide(image, word, upper >> 40);
			upper = upper << 24 | lower >> 40;
			lower <<= 24;
		} else {
			break;
		}
	}
	return word >> 29 >= FIB_TREE ? 0 : word ? word : rest;
}

/* The word that ends the lookup of an address in a domain, by its number; 0 without a route. */
static __always_inline __u32 fib_lookup(void *image, __u32 index, struct fib_address address, int v6)
{
	__u32 word = 0;

	if (index & FIB_PREFIXES_ONLY)
		;
	else if (v6)
		word = fib_find6(image, index, address.upper, address.lower);
	else
		word = fib_find(image, FIB_HOSTS4, (__u64)index << 40 | address.upper >> 24 | 1);
	return word ? word : fib_prefix(index, address.upper, address.lower, v6, fib_table_seed(image));
}

/* What stands behind the kind and length of a word that ends a lookup. */
static __always_inline __u32 fib_argument(__u32 word)
{
	return word & ((1U << 22) - 1);
}

static __always_inline struct fib_adjacency *fib_adjacency(void *image, __u32 index)
{
	return fib_record(image, FIB_ADJACENCIES, index, sizeof(struct fib_adjacency));
}

/* One end of a flow: its address and port. */
static __always_inline __u64 fib_end(struct fib_address address, __u16 port, __u64 seed, int v6)
{
	__u64 high = (__u64)port << 48;

	if (v6)
		return fib_mix(fib_mix(address.upper ^ seed) ^ address.lower ^ high);
	return fib_mix(address.upper >> 32 ^ seed ^ high);
}

/* The hash of a flow, the same in both directions: fib/src/hash.rs. Ports in host order. */
static __always_inline __u32 fib_flow_hash(void *image, struct fib_address src, struct fib_address dst,
					   __u16 src_port, __u16 dst_port, __u8 protocol, int v6)
{
	__u64 seed = ((struct fib_header *)image)->flow_seed;
	__u64 sum = fib_end(src, src_port, seed, v6) + fib_end(dst, dst_port, seed, v6) + protocol;

	return fib_mix(sum) >> 32;
}

/*
 * The index of the adjacency that a flow takes, of a group by its index; the highest score wins. 2^32 - 1 for none. A
 * function of its own for the same reason as fib_prefix().
 */
__attribute__((noinline)) __u32 fib_choose(__u32 index, __u32 flow_hash, __u64 seed)
{
	void *image = fib_image();
	__u32 *place, chosen = ~0U;
	struct fib_group *group;
	__u64 at, best = 0;

	if (!image || fib_table_seed(image) != seed)
		return chosen;
	place = fib_record(image, FIB_GROUPS, index, sizeof(*place));
	if (!place || !*place)
		return chosen;
	at = (__u64)(*place & FIB_OFFSET_MASK) * FIB_UNIT;
	group = fib_at(image, at, sizeof(*group));
	for (__u32 i = 0; group && i < 255 && i < group->count; i++) {
		struct fib_member *member = fib_at(image, at + sizeof(*group) + i * sizeof(*member), sizeof(*member));
		__u64 score;

		if (!member)
			break;
		score = fib_mix((__u64)flow_hash << 32 | member->key);
		if (score >= best) {
			best = score;
			chosen = member->adjacency;
		}
	}
	return chosen;
}

#endif
