/* rte_fib and rte_fib6 on the tables and keys of the bench: a text of commands in, a line per measurement out.
 *
 * usage: dpdk4|dpdk6 are one program: dpdk FAMILY ROUTES KEYS TURNS
 * ROUTES: records of 16 bytes of address (IPv4 in the first four), 1 of length, 3 of zero, 4 of next hop, host order.
 * KEYS: records of 16 bytes of address. Output: name, then nanoseconds a lookup of each turn, then the answers' sum. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_memory.h>

enum { BURST = 32, MAX_TURNS = 64, MEGABYTES = 3072 };

struct route { uint8_t addr[16]; uint8_t len; uint8_t zero[3]; uint32_t next; };

static void *slurp(const char *path, size_t size, size_t *count)
{
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END)) { perror(path); exit(1); }
	long bytes = ftell(file);
	rewind(file);
	void *data = malloc(bytes);
	if (!data || fread(data, 1, bytes, file) != (size_t)bytes) { perror(path); exit(1); }
	fclose(file);
	*count = bytes / size;
	return data;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint32_t be32(const uint8_t *b) { return (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]; }

static void report(const char *name, const double *nanos, int turns, uint64_t sum)
{
	printf("%s", name);
	for (int i = 1; i <= turns; i++) printf(" %.3f", nanos[i]);
	printf(" %" PRIu64 "\n", sum);
}

static void run4(const struct route *routes, size_t n, const uint8_t *keys, size_t count, int turns)
{
	struct rte_fib_conf conf = { .type = RTE_FIB_DIR24_8, .default_nh = 0, .max_routes = 1 << 21 };
	conf.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
	conf.dir24_8.num_tbl8 = 1 << 16;
	struct rte_fib *fib = rte_fib_create("bench4", SOCKET_ID_ANY, &conf);
	if (!fib) { fprintf(stderr, "rte_fib_create failed\n"); exit(1); }
	double start = now();
	for (size_t i = 0; i < n; i++)
		if (rte_fib_add(fib, be32(routes[i].addr), routes[i].len, routes[i].next)) exit(2);
	fprintf(stderr, "rte_fib: %zu routes in %.0f ms\n", n, (now() - start) / 1e6);
	uint32_t *ips = malloc(count * 4);
	for (size_t i = 0; i < count; i++) ips[i] = be32(keys + i * 16);
	static const struct { const char *name; enum rte_fib_lookup_type type; } kinds[] = {
		{ "rte_fib_scalar", RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO },
		{ "rte_fib_avx512", RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512 },
	};
	for (int k = 0; k < 2; k++) {
		if (rte_fib_select_lookup(fib, kinds[k].type)) continue;
		double nanos[MAX_TURNS]; uint64_t sum = 0, next[BURST];
		for (int turn = 0; turn <= turns; turn++) {
			sum = 0;
			double from = now();
			for (size_t i = 0; i + BURST <= count; i += BURST) {
				rte_fib_lookup_bulk(fib, ips + i, next, BURST);
				for (int j = 0; j < BURST; j++) sum += next[j];
			}
			nanos[turn] = (now() - from) / count;
		}
		report(kinds[k].name, nanos, turns, sum);
	}
}

static void run6(const struct route *routes, size_t n, uint8_t *keys, size_t count, int turns)
{
	struct rte_fib6_conf conf = { .type = RTE_FIB6_TRIE, .default_nh = 0, .max_routes = 1 << 20 };
	conf.trie.nh_sz = RTE_FIB6_TRIE_4B;
	conf.trie.num_tbl8 = 1 << 18;
	struct rte_fib6 *fib = rte_fib6_create("bench6", SOCKET_ID_ANY, &conf);
	if (!fib) { fprintf(stderr, "rte_fib6_create failed\n"); exit(1); }
	double start = now();
	for (size_t i = 0; i < n; i++)
		if (rte_fib6_add(fib, routes[i].addr, routes[i].len, routes[i].next)) exit(2);
	fprintf(stderr, "rte_fib6: %zu routes in %.0f ms\n", n, (now() - start) / 1e6);
	static const struct { const char *name; enum rte_fib6_lookup_type type; } kinds[] = {
		{ "rte_fib6_scalar", RTE_FIB6_LOOKUP_TRIE_SCALAR },
		{ "rte_fib6_avx512", RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512 },
	};
	for (int k = 0; k < 2; k++) {
		if (rte_fib6_select_lookup(fib, kinds[k].type)) continue;
		double nanos[MAX_TURNS]; uint64_t sum = 0, next[BURST];
		for (int turn = 0; turn <= turns; turn++) {
			sum = 0;
			double from = now();
			for (size_t i = 0; i + BURST <= count; i += BURST) {
				rte_fib6_lookup_bulk(fib, (uint8_t (*)[16])(keys + i * 16), next, BURST);
				for (int j = 0; j < BURST; j++) sum += next[j];
			}
			nanos[turn] = (now() - from) / count;
		}
		report(kinds[k].name, nanos, turns, sum);
	}
}

/* Free huge pages of 2 MiB. */
static long reserved(void)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
	long pages = 0;
	if (file && fscanf(file, "%ld", &pages) != 1) pages = 0;
	if (file) fclose(file);
	return pages;
}

int main(int argc, char **argv)
{
	if (argc != 5) { fprintf(stderr, "usage: %s 4|6 ROUTES KEYS TURNS\n", argv[0]); return 2; }
	/* Huge pages as DPDK is run, if so many are reserved (vm.nr_hugepages); small ones otherwise. */
	int huge = reserved() >= MEGABYTES / 2;
	char *eal[] = { argv[0], huge ? "--in-memory" : "--no-huge", "-m", "3072", "--no-pci", "--no-shconf",
			"--no-telemetry", "--log-level=error", "-l", "0" };
	fprintf(stderr, "dpdk: %s pages\n", huge ? "huge" : "small");
	if (rte_eal_init(10, eal) < 0) { fprintf(stderr, "rte_eal_init failed\n"); return 1; }
	size_t routes, keys;
	struct route *table = slurp(argv[2], sizeof *table, &routes);
	uint8_t *addrs = slurp(argv[3], 16, &keys);
	int turns = atoi(argv[4]);
	if (turns < 1 || turns >= MAX_TURNS) return 2;
	if (argv[1][0] == '4') run4(table, routes, addrs, keys, turns);
	else run6(table, routes, addrs, keys, turns);
	return 0;
}
