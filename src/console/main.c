/*
 * console/main.c - bm_webhook_console: the console's HTTP server, or "listen".
 *
 * A program of its own beside the server, with one thread: nothing it does can restart the database.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "console/connect.h"
#include "console/listen.h"
#include "console/loop.h"
#include "console/options.h"
#include "console/request.h"
#include "console/session.h"
#include "console/visitors.h"

/* In the words of GnuTLS. */
static const char versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/* Passwords pass through this memory. */
static void
forbid_core_dumps(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

/* For each browser and each session one: 1,024, the default, are too few for --max-sessions 1000. */
static void
raise_limit_of_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static char *
read_file(const char *path)
{
	char *text = calloc(1, 65536);
	FILE *file = path != NULL ? fopen(path, "re") : NULL;

	if (path == NULL)
	{
		free(text);
		return NULL;
	}
	if (file == NULL || text == NULL || fread(text, 1, 65535, file) == 0)
		err(1, "could not read \"%s\"", path);
	fclose(file);
	return text;
}

static void
read_address(struct sockaddr_storage *at)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *) at;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) at;

	memset(at, 0, sizeof(*at));
	v4->sin_family = AF_INET;
	v4->sin_port = htons(bmw_options.port);
	if (inet_pton(AF_INET, bmw_options.address, &v4->sin_addr) == 1)
		return;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(bmw_options.port);
	if (inet_pton(AF_INET6, bmw_options.address, &v6->sin6_addr) != 1)
		errx(2, "\"%s\" is not an address", bmw_options.address);
}

static struct MHD_Daemon *
listen_for_browsers(char *certificate, char *key)
{
	struct sockaddr_storage at;
	const struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *) versions},
										 {MHD_OPTION_HTTPS_MEM_CERT, 0, certificate},
										 {MHD_OPTION_HTTPS_MEM_KEY, 0, key},
										 {MHD_OPTION_END, 0, NULL}};
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	struct MHD_Daemon *http;

	read_address(&at);
	if (at.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	if (certificate != NULL)
		flags |= MHD_USE_TLS;
	http = MHD_start_daemon(flags, 0, NULL, NULL, bmw_request_handle, NULL, MHD_OPTION_SOCK_ADDR,
							&at, MHD_OPTION_NOTIFY_CONNECTION, bmw_visitors_notify, NULL,
							MHD_OPTION_NOTIFY_COMPLETED, bmw_request_complete, NULL,
							MHD_OPTION_CONNECTION_LIMIT, 512U, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
							bmw_options.is_behind_proxy ? 0U : 128U, MHD_OPTION_CONNECTION_TIMEOUT,
							30U, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) 32768,
							MHD_OPTION_ARRAY, certificate != NULL ? tls : &tls[3], MHD_OPTION_END);
	if (http == NULL)
		err(1, "cannot listen on %s, port %u", bmw_options.address, (unsigned) bmw_options.port);
	return http;
}

int
main(int argc, char **argv)
{
	char *certificate, *key;
	struct MHD_Daemon *http;

	forbid_core_dumps();
	if (argc > 1 && strcmp(argv[1], "listen") == 0)
	{
		bmw_listen_run(argc - 1, argv + 1);
		return 0;
	}
	bmw_options_parse(argc, argv);
	raise_limit_of_files();
	bmw_connect_probe();
	bmw_sessions_create();
	certificate = read_file(bmw_options.certificate);
	key = read_file(bmw_options.key);
	bmw_loop_create();
	http = listen_for_browsers(certificate, key);
	warnx("listening on %s://%s:%u", certificate != NULL ? "https" : "http", bmw_options.address,
		  (unsigned) bmw_options.port);
	bmw_loop_run(http);
	return 0;
}
