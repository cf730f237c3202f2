/*
 * core/egress.h - by which way requests leave: through a proxy, from which address.
 *
 * Both are the administrator's. Names are resolved and judged here all the same: a proxy is told
 * the address that was judged, never a name.
 */
#ifndef BMW_CORE_EGRESS_H
#define BMW_CORE_EGRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "core/status.h"

#define BMW_PROXY_URL_SIZE 288
#define BMW_PROXY_WORD_SIZE 256 /* SOCKS5 has one byte for a length */

typedef struct BmwProxy
{
	char url[BMW_PROXY_URL_SIZE]; /* '': none */
	bool is_socks;
	char user[BMW_PROXY_WORD_SIZE]; /* '': without credentials */
	char password[BMW_PROXY_WORD_SIZE];
} BmwProxy;

typedef struct BmwSources
{
	bool are_set;			/* then a family without one is not used */
	struct sockaddr_in v4;	/* its family is 0: none */
	struct sockaddr_in6 v6; /* likewise */
} BmwSources;

typedef struct BmwEgress
{
	BmwProxy proxy;
	BmwSources sources;
} BmwEgress;

/*
 * "http://host:port" or "socks5://host:port", nothing else; '' is none. Leaves the credentials
 * empty. BMW_ERROR_SYNTAX.
 */
extern BmwStatus bmw_proxy_parse(const char *text, BmwProxy *out);
/* "user:password", a line; comments do not exist. BMW_ERROR_SYNTAX; out is then as it was. */
extern BmwStatus bmw_proxy_read_credentials(const char *text, size_t len, BmwProxy *out);
/*
 * Addresses, separated by commas, at most one of each family, each of one host. '' is none.
 * BMW_ERROR_SYNTAX.
 */
extern BmwStatus bmw_sources_parse(const char *text, BmwSources *out);
/* What to bind to for this family; NULL: do not connect. *len is 0 where the system chooses. */
extern const struct sockaddr *bmw_sources_of(const BmwSources *sources, int family, socklen_t *len);

#endif
