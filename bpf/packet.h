/* SPDX-License-Identifier: Apache-2.0 */
/* Headers, MAC addresses as numbers, checksums by difference. */
#ifndef PACKET_H
#define PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

/* ARP for IPv4 over Ethernet, RFC 826. */
struct arp_eth {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__be16 op;
	__u8 sha[6];
	__be32 spa;
	__u8 tha[6];
	__be32 tpa;
} __attribute__((packed));

/* ICMP and ICMPv6 up to the identifier. */
struct icmp_start {
	__u8 type;
	__u8 code;
	__u16 checksum;
};

/* A neighbour solicitation with exactly one option, or the advertisement that it becomes: RFC 4861, 4.3 and 4.4. */
struct nd_message {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u8 flags;
	__u8 reserved[3];
	__u8 target[16];
	__u8 option;
	__u8 option_len;
	__u8 mac[6];
} __attribute__((packed));

/* The same in words, for sums. */
#define ND_OPTION_WORD 12 /* of option and option_len, from the message's start */
#define ND_MAC_WORD 13

/* TCP as far as the flow hash looks at it. */
struct tcp_start {
	__be16 source;
	__be16 dest;
	__u8 numbers[8];
	__u8 offset; /* upper 4 bits: header length in words */
	__u8 rest[7];
};

static __always_inline __u64 mac_number(const __u8 *mac)
{
	return (__u64)bpf_ntohs(*(const __u16 *)mac) << 32 | bpf_ntohl(*(const __u32 *)(mac + 2));
}

/* The sum of 16-bit words as they stand: a one's-complement sum does not mind the byte order (RFC 1071, 2). */
static __always_inline __u32 sum_words(const void *bytes, int count)
{
	const __u16 *words = bytes;
	__u32 sum = 0;

	for (int i = 0; i < count; i++)
		sum += words[i];
	return sum;
}

/* What to add for words that are replaced: RFC 1624, equation 3. */
static __always_inline __u32 sum_without(const void *bytes, int count)
{
	const __u16 *words = bytes;
	__u32 sum = 0;

	for (int i = 0; i < count; i++)
		sum += (__u16)~words[i];
	return sum;
}

static __always_inline __u16 sum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* A checksum after a change: `change` is the sum of what came, and of the complements of what went. */
static __always_inline __u16 checksum_after(__u16 checksum, __u32 change)
{
	return ~sum_fold((__u16)~checksum + change);
}

static __always_inline void copy_mac(__u8 *to, const __u8 *from)
{
	__u16 first = *(const __u16 *)from;
	__u32 last = *(const __u32 *)(from + 2);

	*(__u16 *)to = first;
	*(__u32 *)(to + 2) = last;
}

#endif
