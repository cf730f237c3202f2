/*
 * core/address.h - which network addresses a request may go to (SSRF).
 *
 * Judged on the socket address that is about to be connected, never on text.
 * IPv4: special-purpose and private networks are denied. IPv6: only 2000::/3
 * less its special-purpose parts is allowed. Addresses of this machine's own
 * interfaces are denied. allowed_networks opens what these rules deny;
 * denied_networks wins over everything. IPv4-mapped IPv6 cannot be opened: it
 * would be a way around the IPv4 rules. Ports are judged in every network.
 */
#ifndef BMW_CORE_ADDRESS_H
#define BMW_CORE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/status.h"

typedef struct BmwNetwork
{
	int family;			 /* AF_INET or AF_INET6 */
	int bits;			 /* prefix length */
	uint8_t address[16]; /* network byte order; 4 bytes for AF_INET */
} BmwNetwork;

typedef struct BmwNetworks
{
	BmwNetwork *items; /* malloc'd */
	int length;
} BmwNetworks;

typedef struct BmwPorts
{
	uint64_t allowed[1024]; /* bit p % 64 of word p / 64 */
} BmwPorts;

typedef struct BmwAddressPolicy
{
	BmwNetworks allowed;
	BmwNetworks denied;
	BmwNetworks local; /* this machine's interfaces, /32 and /128 */
	BmwPorts ports;
} BmwAddressPolicy;

/*
 * Comma-separated CIDR blocks or addresses ("10.0.0.0/8, fd00::/8, 127.0.0.1"),
 * blanks ignored, empty text = none. BMW_ERROR_SYNTAX for anything else, also
 * for bits set beyond the prefix; *out is then empty.
 */
extern BmwStatus bmw_networks_parse(const char *text, BmwNetworks *out);
extern void bmw_networks_free(BmwNetworks *networks);
/* Fills *out with getifaddrs(); BMW_ERROR_MEMORY or BMW_OK. */
extern BmwStatus bmw_networks_local(BmwNetworks *out);
/* "80,443,1024-65535"; port 0 never becomes allowed. BMW_ERROR_SYNTAX. */
extern BmwStatus bmw_ports_parse(const char *text, BmwPorts *out);
/* False for anything outside 1..65535. */
extern bool bmw_ports_contain(const BmwPorts *ports, int port);

/*
 * BMW_OK, BMW_ERROR_ADDRESS_DENIED (any family but AF_INET and AF_INET6
 * included; IPv4-mapped IPv6 is denied by construction), BMW_ERROR_PORT_DENIED.
 */
extern BmwStatus bmw_address_check(const BmwAddressPolicy *policy, const struct sockaddr *address);
/*
 * Which machine this leads to, as far as an address tells, whatever the port; never 0. An IPv6 address
 * counts as its network of 64 bits, because a machine has all of those.
 */
extern uint64_t bmw_address_destination(const struct sockaddr *address);
extern void bmw_address_policy_free(BmwAddressPolicy *policy);

#endif
