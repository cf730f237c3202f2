/*
 * preload.c - makes the resolver of the C library ask the name server of a test: it cannot be told
 * a port in resolv.conf, and who is not root cannot replace that.
 *
 * Loaded by LD_PRELOAD. Only the address of the name server is replaced, for the thread that asks;
 * the rest is the C library's own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
		(__typeof__(next)) dlsym(RTLD_NEXT, "getaddrinfo");
	const char *port = getenv("BMW_TEST_NAME_SERVER");

	if (port != NULL && res_init() == 0)
	{
		_res.nscount = 1;
		_res.nsaddr_list[0].sin_family = AF_INET;
		_res.nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		_res.nsaddr_list[0].sin_port = htons((unsigned short) atoi(port));
		_res.options &= ~(unsigned long) (RES_DNSRCH | RES_DEFNAMES);
	}
	return next(node, service, hints, result);
}
