/*
 * console/guard.c - who sends a request: which session, and does a page of ours?
 */
#include "console/guard.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "console/options.h"

static const char *
header(struct MHD_Connection *http, const char *name)
{
	return MHD_lookup_connection_value(http, MHD_HEADER_KIND, name);
}

/* Bound to the host and to HTTPS by its name, where there is HTTPS. */
static const char *
cookie_name(void)
{
	return bmw_options_is_secure() ? "__Host-s" : "s";
}

typedef struct Framing
{
	int lengths;
	int hosts;
	bool is_odd;
} Framing;

static enum MHD_Result
count_framing(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	Framing *framing = arg;

	(void) kind;
	(void) value;
	if (strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0)
		framing->lengths++;
	if (strcasecmp(name, "host") == 0)
		framing->hosts++;
	if (strpbrk(name, " \t") != NULL)
		framing->is_odd = true;
	return MHD_YES;
}

bool
bmw_guard_is_framed(struct MHD_Connection *http)
{
	Framing framing = {0};

	MHD_get_connection_values(http, MHD_HEADER_KIND, count_framing, &framing);
	return framing.lengths < 2 && framing.hosts < 2 && !framing.is_odd;
}

bool
bmw_guard_is_host(struct MHD_Connection *http)
{
	const char *host = header(http, "host");

	return host != NULL && bmw_options_is_host(host);
}

bool
bmw_guard_is_own_site(struct MHD_Connection *http)
{
	const char *site = header(http, "sec-fetch-site");
	const char *origin = header(http, "origin");
	const char *host;

	if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return false;
	if (origin == NULL)
		return true;
	host = strstr(origin, "://");
	return host != NULL && bmw_options_is_host(host + 3);
}

bool
bmw_guard_is_json(struct MHD_Connection *http)
{
	const char *type = header(http, "content-type");
	const size_t len = strlen("application/json");

	return type != NULL && strncasecmp(type, "application/json", len) == 0 &&
		   strchr("; \t", type[len]) != NULL;
}

static const char *
token_of(struct MHD_Connection *http)
{
	return MHD_lookup_connection_value(http, MHD_COOKIE_KIND, cookie_name());
}

BmwSession *
bmw_guard_session(struct MHD_Connection *http)
{
	const char *token = token_of(http);

	return token != NULL ? bmw_session_find(token) : NULL;
}

const char *
bmw_guard_why_ended(struct MHD_Connection *http)
{
	const char *token = token_of(http);

	return token != NULL ? bmw_session_why_ended(token) : NULL;
}

void
bmw_guard_cookie(const BmwSession *session, char *cookie, size_t size)
{
	snprintf(cookie, size, "%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s", cookie_name(),
			 session != NULL ? session->token : "", bmw_options_is_secure() ? "; Secure" : "",
			 session != NULL ? "" : "; Max-Age=0");
}

static enum MHD_Result
keep_last(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void) kind;
	if (strcasecmp(name, "x-forwarded-for") == 0)
		*(const char **) arg = value;
	return MHD_YES;
}

/* The last of the last is what our proxy has written itself: some add to the client's, some write another. */
static const char *
forwarded_for(struct MHD_Connection *http)
{
	const char *list = NULL;
	const char *last;

	if (bmw_options.is_behind_proxy)
		MHD_get_connection_values(http, MHD_HEADER_KIND, keep_last, &list);
	last = list != NULL ? strrchr(list, ',') : NULL;
	return last != NULL ? last + 1 + strspn(last + 1, " ") : list;
}

void
bmw_guard_address(struct MHD_Connection *http, char *address, size_t size)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(http, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const char *forwarded = forwarded_for(http);
	const struct sockaddr *client = info != NULL ? info->client_addr : NULL;
	socklen_t len = sizeof(struct sockaddr_in);

	if (client != NULL && client->sa_family == AF_INET6)
		len = sizeof(struct sockaddr_in6);
	if (forwarded != NULL)
		snprintf(address, size, "%s", forwarded);
	else if (client == NULL ||
			 getnameinfo(client, len, address, (socklen_t) size, NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(address, size, "unknown");
}
