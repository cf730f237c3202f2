/*
 * core/address.c - which network addresses a request may go to (SSRF).
 *
 * IPv4 is a list of what is denied; IPv6 is the opposite, one block that is
 * allowed less a few, because most of its space leads to IPv4 or to the inside
 * by some translation. Addresses are compared as bytes in network order. The
 * order of the rules in judge() is the policy: do not reorder it. The lists
 * follow the IANA registries of special-purpose addresses (RFC 6890 and its successors).
 */
#include "core/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NETWORK_TEXT 64
#define BLANKS " \t"
#define IPV4_DESTINATION                                                                           \
	UINT64_C(0xFFFFFFFF00000000) /* no network of IPv6 that is used begins so */

static const BmwNetwork special_ipv4[] = {
	{AF_INET, 8, {0}},				   /* this network */
	{AF_INET, 8, {10}},				   /* private */
	{AF_INET, 10, {100, 64}},		   /* carrier-grade NAT */
	{AF_INET, 8, {127}},			   /* loopback */
	{AF_INET, 16, {169, 254}},		   /* link-local, cloud metadata */
	{AF_INET, 12, {172, 16}},		   /* private */
	{AF_INET, 24, {192, 0, 0}},		   /* IETF protocol assignments */
	{AF_INET, 24, {192, 0, 2}},		   /* documentation */
	{AF_INET, 24, {192, 31, 196}},	   /* AS112 */
	{AF_INET, 24, {192, 52, 193}},	   /* AMT */
	{AF_INET, 24, {192, 88, 99}},	   /* 6to4 relay */
	{AF_INET, 16, {192, 168}},		   /* private */
	{AF_INET, 24, {192, 175, 48}},	   /* AS112 */
	{AF_INET, 15, {198, 18}},		   /* benchmarking */
	{AF_INET, 24, {198, 51, 100}},	   /* documentation */
	{AF_INET, 24, {203, 0, 113}},	   /* documentation */
	{AF_INET, 4, {224}},			   /* multicast */
	{AF_INET, 4, {240}},			   /* reserved, broadcast */
	{AF_INET, 32, {168, 63, 129, 16}}, /* Azure's platform address */
};

static const BmwNetwork global_ipv6[] = {
	{AF_INET6, 3, {0x20}}, /* 2000::/3, global unicast */
};

static const BmwNetwork special_ipv6[] = {
	{AF_INET6, 23, {0x20, 0x01}},			  /* IETF protocol assignments, Teredo */
	{AF_INET6, 32, {0x20, 0x01, 0x0D, 0xB8}}, /* documentation */
	{AF_INET6, 16, {0x20, 0x02}},			  /* 6to4 */
	{AF_INET6, 20, {0x3F, 0xFF}},			  /* documentation */
};

static const BmwNetwork mapped_ipv6[] = {
	{AF_INET6, 96, {[10] = 0xFF, [11] = 0xFF}},
};

#define ANY_CONTAINS(table, address)                                                               \
	any_contains(table, (int) (sizeof(table) / sizeof((table)[0])), address)

static bool read_sockaddr(const struct sockaddr *address, BmwNetwork *host, int *port);
static BmwStatus judge(const BmwAddressPolicy *policy, const BmwNetwork *host);
static bool is_public(const BmwNetwork *host);
static bool any_contains(const BmwNetwork *networks, int length, const BmwNetwork *host);
static bool contains(const BmwNetwork *network, const BmwNetwork *host);
static bool parse_network(const char *text, size_t len, BmwNetwork *out);
static bool has_host_bits(const BmwNetwork *network);
static bool parse_ports(const char *text, size_t len, BmwPorts *out);
static const char *next_item(const char *cursor, const char **item, size_t *len);
static size_t count_items(const char *text);
static bool parse_number(const char *text, size_t len, int max, int *out);

BmwStatus
bmw_address_check(const BmwAddressPolicy *policy, const struct sockaddr *address)
{
	BmwNetwork host;
	int port;

	if (!read_sockaddr(address, &host, &port))
		return BMW_ERROR_ADDRESS_DENIED;

	const BmwStatus status = judge(policy, &host);

	if (status != BMW_OK)
		return status;
	return bmw_ports_contain(&policy->ports, port) ? BMW_OK : BMW_ERROR_PORT_DENIED;
}

uint64_t
bmw_address_destination(const struct sockaddr *address)
{
	BmwNetwork host;
	uint64_t destination = 0;
	int port;

	(void) read_sockaddr(address, &host, &port);
	for (int i = 0; i < (host.family == AF_INET ? 4 : 8); i++)
		destination = destination << 8 | host.address[i];
	return host.family == AF_INET ? IPV4_DESTINATION | destination
								  : destination | (destination == 0);
}

static BmwStatus
judge(const BmwAddressPolicy *policy, const BmwNetwork *host)
{
	/* Before the administrator's lists: 10.0.0.1 in disguise escapes a rule for 10/8. */
	if (ANY_CONTAINS(mapped_ipv6, host))
		return BMW_ERROR_ADDRESS_DENIED;
	if (any_contains(policy->denied.items, policy->denied.length, host))
		return BMW_ERROR_ADDRESS_DENIED;
	if (any_contains(policy->allowed.items, policy->allowed.length, host))
		return BMW_OK;
	if (!is_public(host))
		return BMW_ERROR_ADDRESS_DENIED;
	/* The host's own public address reaches services that listen on it alone. */
	if (any_contains(policy->local.items, policy->local.length, host))
		return BMW_ERROR_ADDRESS_DENIED;
	return BMW_OK;
}

static bool
is_public(const BmwNetwork *host)
{
	if (host->family == AF_INET)
		return !ANY_CONTAINS(special_ipv4, host);
	return ANY_CONTAINS(global_ipv6, host) && !ANY_CONTAINS(special_ipv6, host);
}

static bool
any_contains(const BmwNetwork *networks, int length, const BmwNetwork *host)
{
	for (int i = 0; i < length; i++)
	{
		if (contains(&networks[i], host))
			return true;
	}
	return false;
}

static bool
contains(const BmwNetwork *network, const BmwNetwork *host)
{
	const size_t bytes = (size_t) network->bits / 8;
	const int rest = network->bits % 8;

	if (network->family != host->family || memcmp(network->address, host->address, bytes) != 0)
		return false;
	return rest == 0 || ((network->address[bytes] ^ host->address[bytes]) >> (8 - rest)) == 0;
}

/* False for any family but the two. Copies, because a sockaddr may be misaligned. */
static bool
read_sockaddr(const struct sockaddr *address, BmwNetwork *host, int *port)
{
	*host = (BmwNetwork){0};
	if (address->sa_family == AF_INET)
	{
		struct sockaddr_in ipv4;

		memcpy(&ipv4, address, sizeof(ipv4));
		memcpy(host->address, &ipv4.sin_addr, 4);
		*port = ntohs(ipv4.sin_port);
	}
	else if (address->sa_family == AF_INET6)
	{
		struct sockaddr_in6 ipv6;

		memcpy(&ipv6, address, sizeof(ipv6));
		memcpy(host->address, &ipv6.sin6_addr, 16);
		*port = ntohs(ipv6.sin6_port);
	}
	else
		return false;
	host->family = address->sa_family;
	host->bits = host->family == AF_INET ? 32 : 128;
	return true;
}

BmwStatus
bmw_networks_parse(const char *text, BmwNetworks *out)
{
	*out = (BmwNetworks){0};
	if (text[strspn(text, BLANKS)] == '\0')
		return BMW_OK;

	BmwNetworks parsed = {.items = calloc(count_items(text), sizeof(BmwNetwork))};

	if (parsed.items == NULL)
		return BMW_ERROR_MEMORY;

	const char *item;
	size_t len;

	for (const char *cursor = text; cursor != NULL;)
	{
		cursor = next_item(cursor, &item, &len);
		if (!parse_network(item, len, &parsed.items[parsed.length++]))
		{
			bmw_networks_free(&parsed);
			return BMW_ERROR_SYNTAX;
		}
	}
	*out = parsed;
	return BMW_OK;
}

void
bmw_networks_free(BmwNetworks *networks)
{
	free(networks->items);
	*networks = (BmwNetworks){0};
}

BmwStatus
bmw_networks_local(BmwNetworks *out)
{
	struct ifaddrs *interfaces;
	size_t count = 1; /* calloc(0) may be NULL */

	*out = (BmwNetworks){0};
	if (getifaddrs(&interfaces) != 0)
		return BMW_ERROR_MEMORY;
	for (const struct ifaddrs *i = interfaces; i != NULL; i = i->ifa_next)
		count++;
	out->items = calloc(count, sizeof(BmwNetwork));
	for (const struct ifaddrs *i = interfaces; i != NULL && out->items != NULL; i = i->ifa_next)
	{
		int port;

		/* An interface without an address has NULL; others are of the link layer. */
		if (i->ifa_addr != NULL && read_sockaddr(i->ifa_addr, &out->items[out->length], &port))
			out->length++;
	}
	freeifaddrs(interfaces);
	return out->items != NULL ? BMW_OK : BMW_ERROR_MEMORY;
}

BmwStatus
bmw_ports_parse(const char *text, BmwPorts *out)
{
	*out = (BmwPorts){0};
	if (text[strspn(text, BLANKS)] == '\0')
		return BMW_OK;

	BmwPorts parsed = {0};
	const char *item;
	size_t len;

	for (const char *cursor = text; cursor != NULL;)
	{
		cursor = next_item(cursor, &item, &len);
		if (!parse_ports(item, len, &parsed))
			return BMW_ERROR_SYNTAX;
	}
	parsed.allowed[0] &= ~UINT64_C(1);
	*out = parsed;
	return BMW_OK;
}

bool
bmw_ports_contain(const BmwPorts *ports, int port)
{
	return port > 0 && port <= UINT16_MAX && (ports->allowed[port / 64] >> (port % 64) & 1) != 0;
}

void
bmw_address_policy_free(BmwAddressPolicy *policy)
{
	bmw_networks_free(&policy->allowed);
	bmw_networks_free(&policy->denied);
	bmw_networks_free(&policy->local);
}

/* "10.0.0.0/8" or an address alone. inet_pton() knows no short or octal forms. */
static bool
parse_network(const char *text, size_t len, BmwNetwork *out)
{
	char address[MAX_NETWORK_TEXT];
	const char *slash = memchr(text, '/', len);
	const size_t address_len = slash != NULL ? (size_t) (slash - text) : len;

	if (address_len >= sizeof(address))
		return false;
	memcpy(address, text, address_len);
	address[address_len] = '\0';

	*out = (BmwNetwork){.family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET};
	if (inet_pton(out->family, address, out->address) != 1)
		return false;

	const int max_bits = out->family == AF_INET ? 32 : 128;

	out->bits = max_bits;
	if (slash != NULL && !parse_number(slash + 1, len - address_len - 1, max_bits, &out->bits))
		return false;
	/* 10.1.2.3/8 may mean the host or the network: let its author say. */
	return !has_host_bits(out);
}

static bool
has_host_bits(const BmwNetwork *network)
{
	const int max_bits = network->family == AF_INET ? 32 : 128;

	for (int bit = network->bits; bit < max_bits; bit++)
	{
		if ((network->address[bit / 8] >> (7 - bit % 8) & 1) != 0)
			return true;
	}
	return false;
}

/* "443" or "1024-65535". */
static bool
parse_ports(const char *text, size_t len, BmwPorts *out)
{
	const char *dash = memchr(text, '-', len);
	const size_t first_len = dash != NULL ? (size_t) (dash - text) : len;
	int first;
	int last;

	if (!parse_number(text, first_len, UINT16_MAX, &first))
		return false;
	last = first;
	if (dash != NULL && !parse_number(dash + 1, len - first_len - 1, UINT16_MAX, &last))
		return false;
	for (int port = first; port <= last; port++)
		out->allowed[port / 64] |= UINT64_C(1) << (port % 64);
	return first <= last;
}

/* The text up to the comma, without blanks around it; returns what follows, or NULL. */
static const char *
next_item(const char *cursor, const char **item, size_t *len)
{
	const size_t span = strcspn(cursor, ",");
	const char *end = cursor + span;
	const char *next = *end == ',' ? end + 1 : NULL;

	while (cursor < end && strchr(BLANKS, *cursor) != NULL)
		cursor++;
	while (end > cursor && strchr(BLANKS, end[-1]) != NULL)
		end--;
	*item = cursor;
	*len = (size_t) (end - cursor);
	return next;
}

static size_t
count_items(const char *text)
{
	size_t count = 1;

	for (const char *c = text; *c != '\0'; c++)
		count += *c == ',';
	return count;
}

/* Decimal digits only, no sign, no leading zero. */
static bool
parse_number(const char *text, size_t len, int max, int *out)
{
	int value = 0;

	if (len == 0 || len > 5 || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*out = value;
	return value <= max;
}
