/*
 * test_address.c - every denied network at its edges, precedence, ports, syntax.
 */
#include "core/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "unit.h"

#define DENIED BMW_ERROR_ADDRESS_DENIED

/* The policy as shipped, with what a test adds. */
static BmwAddressPolicy
policy_of(const char *allowed, const char *denied, const char *local)
{
	BmwAddressPolicy policy = {0};

	CHECK_INT(bmw_networks_parse(allowed, &policy.allowed), BMW_OK);
	CHECK_INT(bmw_networks_parse(denied, &policy.denied), BMW_OK);
	CHECK_INT(bmw_networks_parse(local, &policy.local), BMW_OK);
	CHECK_INT(bmw_ports_parse("80,443,1024-65535", &policy.ports), BMW_OK);
	return policy;
}

static BmwStatus
judge_port(const BmwAddressPolicy *policy, const char *text, int port)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t) port)};

	if (strchr(text, ':') != NULL)
	{
		CHECK_INT(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
		return bmw_address_check(policy, (const struct sockaddr *) &ipv6);
	}
	CHECK_INT(inet_pton(AF_INET, text, &ipv4.sin_addr), 1);
	return bmw_address_check(policy, (const struct sockaddr *) &ipv4);
}

static BmwStatus
judge(const BmwAddressPolicy *policy, const char *text)
{
	return judge_port(policy, text, 443);
}

typedef struct Edge
{
	const char *before; /* NULL: denied too, or not an address */
	const char *first;
	const char *last;
	const char *after;
} Edge;

static const Edge edges[] = {
	{NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
	{"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
	{"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
	{"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
	{"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
	{"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
	{"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
	{"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
	{"192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"},
	{"192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"},
	{"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
	{"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
	{"192.175.47.255", "192.175.48.0", "192.175.48.255", "192.175.49.0"},
	{"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
	{"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
	{"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
	{"223.255.255.255", "224.0.0.0", "239.255.255.255", NULL},
	{NULL, "240.0.0.0", "255.255.255.255", NULL},
	{"168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"},

	/* Below and above 2000::/3, then the holes in it. */
	{NULL, "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"},
	{"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
	 "3fff:1000::"},
	{"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	 NULL},
	{"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
	 "2001:200::"},
	{"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
	 "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
	{"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	 "2003::"},
};

static void
test_edges(void)
{
	BmwAddressPolicy policy = policy_of("", "", "");

	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
	{
		const Edge *edge = &edges[i];
		bool is_right =
			judge(&policy, edge->first) == DENIED && judge(&policy, edge->last) == DENIED;

		if (edge->before != NULL)
			is_right = is_right && judge(&policy, edge->before) == BMW_OK;
		if (edge->after != NULL)
			is_right = is_right && judge(&policy, edge->after) == BMW_OK;
		if (!CHECK(is_right))
			printf("  network of %s\n", edge->first);
	}
	bmw_address_policy_free(&policy);
}

static void
test_denied_by_construction(void)
{
	static const char *const inside[] = {
		"::1",			"::ffff:8.8.8.8",	"::ffff:127.0.0.1",
		"::8.8.8.8",	"::ffff:0:8.8.8.8", "64:ff9b::808:808",
		"64:ff9b:1::1", "fc00::1",			"fd00:ec2::254",
		"fe80::1",		"fec0::1",			"ff02::1",
		"100::1",		"5f00::1",			"169.254.169.254",
		"2001::1",		"2001:0:1::",		"2002:7f00:1::",
	};
	BmwAddressPolicy policy = policy_of("", "", "");
	const struct sockaddr_un local = {.sun_family = AF_UNIX};

	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		CHECK_INT(judge(&policy, inside[i]), DENIED);
	CHECK_INT(judge(&policy, "2606:4700::1111"), BMW_OK);
	CHECK_INT(judge(&policy, "8.8.8.8"), BMW_OK);
	CHECK_INT(bmw_address_check(&policy, (const struct sockaddr *) &local), DENIED);
	bmw_address_policy_free(&policy);
}

static void
test_precedence(void)
{
	BmwAddressPolicy policy =
		policy_of("10.0.0.0/8,fd00::/8,127.0.0.1,198.41.0.4", "10.1.0.0/16,8.8.8.0/24,fd00:1::/32",
				  "198.41.0.4/32,198.41.0.5,2606:4700::1111");

	CHECK_INT(judge(&policy, "10.0.0.1"), BMW_OK);
	CHECK_INT(judge(&policy, "10.1.0.1"), DENIED);
	CHECK_INT(judge(&policy, "8.8.8.8"), DENIED);
	CHECK_INT(judge(&policy, "8.8.9.8"), BMW_OK);
	CHECK_INT(judge(&policy, "127.0.0.1"), BMW_OK);
	CHECK_INT(judge(&policy, "127.0.0.2"), DENIED);
	CHECK_INT(judge(&policy, "fd00::1"), BMW_OK);
	CHECK_INT(judge(&policy, "fd00:1::1"), DENIED);
	CHECK_INT(judge(&policy, "198.41.0.4"), BMW_OK); /* local, but opened */
	CHECK_INT(judge(&policy, "198.41.0.5"), DENIED);
	CHECK_INT(judge(&policy, "2606:4700::1111"), DENIED);
	CHECK_INT(judge(&policy, "2606:4700::1112"), BMW_OK);
	bmw_address_policy_free(&policy);

	/* Everything opened: what was denied by name stays denied, in every disguise. */
	policy = policy_of("0.0.0.0/0,::/0", "10.0.0.0/8", "");
	CHECK_INT(judge(&policy, "192.168.0.1"), BMW_OK);
	CHECK_INT(judge(&policy, "::1"), BMW_OK);
	CHECK_INT(judge(&policy, "10.0.0.1"), DENIED);
	CHECK_INT(judge(&policy, "::ffff:10.0.0.1"), DENIED);
	bmw_address_policy_free(&policy);

	policy = policy_of("", "0.0.0.0/0", "");
	CHECK_INT(judge(&policy, "1.1.1.1"), DENIED);
	CHECK_INT(judge(&policy, "2606:4700::1111"), BMW_OK);
	bmw_address_policy_free(&policy);
}

static void
test_ports(void)
{
	static const int refused[] = {0, 1, 22, 25, 79, 81, 442, 444, 1023};
	BmwAddressPolicy policy = policy_of("127.0.0.0/8", "", "");
	BmwPorts ports;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		CHECK_INT(judge_port(&policy, "1.1.1.1", refused[i]), BMW_ERROR_PORT_DENIED);
		CHECK_INT(judge_port(&policy, "127.0.0.1", refused[i]), BMW_ERROR_PORT_DENIED);
		CHECK_INT(judge_port(&policy, "2606:4700::1111", refused[i]), BMW_ERROR_PORT_DENIED);
	}
	CHECK_INT(judge_port(&policy, "1.1.1.1", 80), BMW_OK);
	CHECK_INT(judge_port(&policy, "1.1.1.1", 1024), BMW_OK);
	CHECK_INT(judge_port(&policy, "1.1.1.1", 65535), BMW_OK);
	bmw_address_policy_free(&policy);

	CHECK_INT(bmw_ports_parse(" 0-65535 ", &ports), BMW_OK);
	CHECK(!bmw_ports_contain(&ports, 0));
	CHECK_INT(ports.allowed[0] & 1, 0);
	CHECK(bmw_ports_contain(&ports, 1));
	CHECK(!bmw_ports_contain(&ports, -1));
	CHECK(!bmw_ports_contain(&ports, 65536));
	CHECK_INT(bmw_ports_parse("", &ports), BMW_OK);
	CHECK(!bmw_ports_contain(&ports, 443));
}

static void
test_syntax(void)
{
	static const char *const bad_networks[] = {
		",",
		"10.0.0.0/8,",
		",10.0.0.0/8",
		"10.0.0.0/33",
		"10.0.0.0/",
		"10.0.0.0/-1",
		"10.0.0.0/8x",
		"10.0.0.0/08",
		"10.0.0.1/8",
		"10/8",
		"10.0.0",
		"010.0.0.0/8",
		"0x0a.0.0.0/8",
		"fd00::/129",
		"fd00::1/64",
		"fd00::/8/8",
		"example.com",
		"localhost",
		"fe80::1%lo",
		"10.0.0.0/8;11.0.0.0/8",
		"10.0.0.0/99999999999",
		"[::1]",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222:3333:4444/64",
	};
	static const char *const bad_ports[] = {
		",",	  "80,", "-",	  "80-",  "-80", "65536", "80-65536",
		"443-80", "+80", "80 81", "0080", "x",	 "1-2-3", "999999999999",
	};
	BmwNetworks networks;
	BmwPorts ports;

	for (size_t i = 0; i < sizeof(bad_networks) / sizeof(bad_networks[0]); i++)
	{
		if (!CHECK_INT(bmw_networks_parse(bad_networks[i], &networks), BMW_ERROR_SYNTAX))
			printf("  for %s\n", bad_networks[i]);
		CHECK(networks.items == NULL && networks.length == 0);
	}
	for (size_t i = 0; i < sizeof(bad_ports) / sizeof(bad_ports[0]); i++)
	{
		if (!CHECK_INT(bmw_ports_parse(bad_ports[i], &ports), BMW_ERROR_SYNTAX))
			printf("  for %s\n", bad_ports[i]);
		CHECK(!bmw_ports_contain(&ports, 80));
	}
	CHECK_INT(bmw_networks_parse(" \t", &networks), BMW_OK);
	CHECK_INT(networks.length, 0);
	CHECK_INT(bmw_networks_parse(" 10.0.0.0/8 ,\tfd00::/8, 127.0.0.1 ", &networks), BMW_OK);
	CHECK_INT(networks.length, 3);
	CHECK_INT(networks.items[0].bits, 8);
	CHECK_INT(networks.items[1].family, AF_INET6);
	CHECK_INT(networks.items[2].bits, 32);
	bmw_networks_free(&networks);
	CHECK(networks.items == NULL);
}

static void
test_local(void)
{
	BmwNetworks networks;
	bool has_loopback = false;

	CHECK_INT(bmw_networks_local(&networks), BMW_OK);
	for (int i = 0; i < networks.length; i++)
	{
		const BmwNetwork *network = &networks.items[i];

		CHECK_INT(network->bits, network->family == AF_INET ? 32 : 128);
		has_loopback = has_loopback || (network->family == AF_INET &&
										memcmp(network->address, "\x7f\0\0\1", 4) == 0);
	}
	CHECK(has_loopback);
	bmw_networks_free(&networks);
}

static uint64_t
destination_of(const char *text)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(443)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};

	if (inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1)
		return bmw_address_destination((const struct sockaddr *) &ipv6);
	CHECK_INT(inet_pton(AF_INET, text, &ipv4.sin_addr), 1);
	return bmw_address_destination((const struct sockaddr *) &ipv4);
}

/* Of IPv6 a whole network is one, and nothing of it one of IPv4. */
static void
test_destination(void)
{
	CHECK(destination_of("93.184.215.14") == destination_of("93.184.215.14"));
	CHECK(destination_of("93.184.215.14") != destination_of("93.184.215.15"));
	CHECK(destination_of("2606:2800:21f:cb07::1") ==
		  destination_of("2606:2800:21f:cb07:6820:80da::1"));
	CHECK(destination_of("2606:2800:21f:cb07::1") != destination_of("2606:2800:21f:cb08::1"));
	CHECK(destination_of("::5db8:d70e") != destination_of("93.184.215.14"));
	CHECK(destination_of("::1") != 0 && destination_of("0.0.0.0") != 0);
}

int
main(void)
{
	test_edges();
	test_denied_by_construction();
	test_precedence();
	test_ports();
	test_syntax();
	test_local();
	test_destination();
	return unit_finish("address");
}
