/*
 * fuzz_address.c - lists of networks and ports; what is denied is never allowed.
 *
 * Lines: networks, ports; then an address in text form.
 */
#include "core/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "fuzz.h"

static void
require_is_network(const BmwNetwork *network)
{
	const int bits = network->family == AF_INET ? 32 : 128;

	REQUIRE(network->family == AF_INET || network->family == AF_INET6);
	REQUIRE(network->bits >= 0 && network->bits <= bits);
	for (int i = network->bits; i < bits; i++)
		REQUIRE((network->address[i / 8] >> (7 - i % 8) & 1) == 0);
}

static void
require_deny_wins(BmwAddressPolicy *policy, const struct sockaddr *address)
{
	bmw_address_check(policy, address);
	REQUIRE(bmw_networks_parse("0.0.0.0/0, ::/0", &policy->denied) == BMW_OK);
	REQUIRE(bmw_address_check(policy, address) == BMW_ERROR_ADDRESS_DENIED);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	BmwAddressPolicy policy = {0};
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(443)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
	char *networks = fuzz_line(&data, &size);
	char *ports = fuzz_line(&data, &size);
	char *address = fuzz_line(&data, &size);

	if (bmw_networks_parse(networks, &policy.allowed) != BMW_OK)
		REQUIRE(policy.allowed.length == 0);
	for (int i = 0; i < policy.allowed.length; i++)
		require_is_network(&policy.allowed.items[i]);
	bmw_ports_parse(ports, &policy.ports);
	REQUIRE(!bmw_ports_contain(&policy.ports, 0));
	if (inet_pton(AF_INET, address, &ipv4.sin_addr) == 1)
		require_deny_wins(&policy, (const struct sockaddr *) &ipv4);
	else if (inet_pton(AF_INET6, address, &ipv6.sin6_addr) == 1)
		require_deny_wins(&policy, (const struct sockaddr *) &ipv6);
	bmw_address_policy_free(&policy);
	free(networks);
	free(ports);
	free(address);
	return 0;
}
