/*
 * pg/server/egress.c - the settings that say by which way requests leave.
 *
 * The credentials are read by the dispatchers, which use them, and only checked by the others. A
 * file that cannot be used keeps no server from starting: PostgreSQL warns, and goes on without it.
 */
#include "postgres.h"

#include "pg/server/egress.h"

#include "access/parallel.h"
#include "pg/server/private_file.h"

#define CREDENTIALS_MAX 600

char *bmw_proxy = NULL;
char *bmw_proxy_credentials_file = NULL;
char *bmw_source_address = NULL;

static bool read_credentials(const char *path, BmwProxy *proxy, char *error);

bool
bmw_egress_check_proxy(char **newval, void **extra, GucSource source)
{
	BmwProxy proxy;

	if (bmw_proxy_parse(*newval, &proxy) == BMW_OK)
		return true;
	GUC_check_errdetail(
		"http://host:port or socks5://host:port is expected, or nothing: without user, password or path.");
	GUC_check_errhint("Credentials are in the file that bm_webhook.proxy_credentials_file names.");
	return false;
}

bool
bmw_egress_check_credentials(char **newval, void **extra, GucSource source)
{
	char error[BMW_PRIVATE_FILE_ERROR_SIZE];
	BmwProxy proxy = {0};
	bool is_read;

	/* a parallel worker takes over what its leader has, though the file may be gone by now */
	if (**newval == '\0' || InitializingParallelWorker)
		return true;
	is_read = read_credentials(*newval, &proxy, error);
	explicit_bzero(&proxy, sizeof(proxy));
	if (is_read)
		return true;
	GUC_check_errdetail("%s", error);
	return false;
}

bool
bmw_egress_check_source(char **newval, void **extra, GucSource source)
{
	BmwSources sources;

	if (bmw_sources_parse(*newval, &sources) == BMW_OK)
		return true;
	GUC_check_errdetail(
		"One IPv4 address, one IPv6 address, or both, separated by a comma, are expected, or nothing.");
	return false;
}

bool
bmw_egress_read(BmwEgress *egress)
{
	char error[BMW_PRIVATE_FILE_ERROR_SIZE];

	memset(egress, 0, sizeof(*egress));
	(void) bmw_proxy_parse(bmw_proxy, &egress->proxy);
	(void) bmw_sources_parse(bmw_source_address, &egress->sources);
	if (egress->proxy.url[0] == '\0' || bmw_proxy_credentials_file[0] == '\0' ||
		read_credentials(bmw_proxy_credentials_file, &egress->proxy, error))
		return true;
	ereport(LOG, errmsg("bm_webhook.proxy_credentials_file cannot be used"),
			errdetail("%s", error));
	return false;
}

static bool
read_credentials(const char *path, BmwProxy *proxy, char *error)
{
	char text[CREDENTIALS_MAX + 1];
	ssize_t len = bmw_private_file_read(path, text, CREDENTIALS_MAX, error);
	bool is_read = len >= 0 && bmw_proxy_read_credentials(text, (size_t) len, proxy) == BMW_OK;

	if (len >= 0 && !is_read)
		snprintf(error, BMW_PRIVATE_FILE_ERROR_SIZE,
				 "A line \"user:password\" is expected, each of at most 255 bytes.");
	explicit_bzero(text, sizeof(text));
	return is_read;
}
