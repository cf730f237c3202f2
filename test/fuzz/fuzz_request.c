/*
 * fuzz_request.c - whatever a browser sends, the console answers or closes, and lets nobody in.
 *
 * The first byte says where the others go: "q" into a query string, "c" a cookie, "b" the body of a
 * sign-in, "a" that of an action, "h" the headers of an action; else they are all that is sent. There is one session, whose
 * server is away: who reaches it gets 503. The console's file of sessions is included, the others
 * are linked.
 */
#define _GNU_SOURCE /* memmem() */

#include "console/session.c"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "console/loop.h"
#include "console/visitors.h"
#include "console/web.h"
#include "fuzz.h"

#define MOST_TURNS 1000
#define HOST " HTTP/1.1\r\nHost: 127.0.0.1:8088\r\n"
#define JSON "Content-Type: application/json\r\n"

static const unsigned char page[] = "<!doctype html>";
const BmwWebFile bmw_web_files[] = {{"/index.html", page, page + sizeof(page) - 1},
									{NULL, NULL, NULL}};

static struct MHD_Daemon *http;
static char token[BMW_TOKEN_SIZE], csrf[BMW_TOKEN_SIZE];

/* It is told of every sign-in that is refused. */
void
warnx(const char *format, ...)
{
	(void) format;
}

static void
start(void)
{
	memset(token, 'a', BMW_TOKEN_SIZE - 1);
	memset(csrf, 'b', BMW_TOKEN_SIZE - 1);
	bmw_options.db_host = "/nonexistent";
	bmw_sessions_create();
	bmw_loop_create();
	http = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
							NULL, NULL, bmw_request_handle, NULL, MHD_OPTION_NOTIFY_CONNECTION,
							bmw_visitors_notify, NULL, MHD_OPTION_NOTIFY_COMPLETED,
							bmw_request_complete, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
							(size_t) 32768, MHD_OPTION_END);
	REQUIRE(http != NULL);
}

static void
open_session(void)
{
	BmwSession *session = &sessions[0];

	*session = (BmwSession){.fd = -1, .begun_at = time(NULL), .used_at = time(NULL)};
	TAILQ_INIT(&session->queue);
	memcpy(session->token, token, sizeof(token));
	memcpy(session->csrf, csrf, sizeof(csrf));
	session->db = PQconnectStart("host=/nonexistent");
	REQUIRE(session->db != NULL);
}

static void
frame(BmwText *text, uint8_t kind, const char *data, size_t size)
{
	char length[64];

	snprintf(length, sizeof(length), "Content-Length: %zu\r\n\r\n", size);
	switch (kind)
	{
		case 'q':
			bmw_text_add(text, "GET /api/overview?a=");
			bmw_text_append(text, data, size);
			bmw_text_add(text, HOST "Cookie: s=");
			bmw_text_add(text, token);
			bmw_text_add(text, "\r\n\r\n");
			return;
		case 'c':
			bmw_text_add(text, "GET /api/session" HOST "Cookie: ");
			bmw_text_append(text, data, size);
			bmw_text_add(text, "\r\n\r\n");
			return;
		case 'b':
			bmw_text_add(text, "POST /api/login" HOST JSON);
			bmw_text_add(text, length);
			bmw_text_append(text, data, size);
			return;
		default:
			bmw_text_add(text, "POST /api/ping" HOST JSON "Cookie: s=");
			bmw_text_add(text, token);
			bmw_text_add(text, kind == 'a' ? "\r\nX-Csrf: " : "\r\n");
			bmw_text_add(text, kind == 'a' ? csrf : "");
			bmw_text_append(text, data, kind == 'h' ? size : 0);
			bmw_text_add(text, kind == 'a' ? "\r\n" : "\r\nContent-Length: 0\r\n\r\n");
			bmw_text_add(text, kind == 'a' ? length : "");
			bmw_text_append(text, data, kind == 'a' ? size : 0);
	}
}

static void
read_all(int fd, BmwText *answer)
{
	char some[4096];
	ssize_t got;

	while ((got = recv(fd, some, sizeof(some), MSG_DONTWAIT)) > 0)
		bmw_text_append(answer, some, (size_t) got);
}

static unsigned
connections(void)
{
	return MHD_get_daemon_info(http, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* All of it at once, and then no more: the connection ends, with its session at the latest. */
static void
exchange(const BmwText *request, BmwText *answer)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int ends[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
	REQUIRE(MHD_add_connection(http, ends[1], (struct sockaddr *) &from, sizeof(from)) == MHD_YES);
	(void) send(ends[0], request->data, request->len, MSG_NOSIGNAL);
	shutdown(ends[0], SHUT_WR);
	for (int i = 0; i < MOST_TURNS && connections() > 0; i++)
	{
		if (i == MOST_TURNS / 2 && sessions[0].db != NULL)
			bmw_session_close(&sessions[0], "over");
		MHD_run(http);
		read_all(ends[0], answer);
	}
	read_all(ends[0], answer);
	close(ends[0]);
	for (int i = 0; i < MOST_TURNS && connections() > 0; i++)
		MHD_run(http);
	REQUIRE(connections() == 0);
}

static bool
has(const char *data, size_t size, const char *text)
{
	return memmem(data, size, text, strlen(text)) != NULL;
}

static void
judge(uint8_t kind, const char *data, size_t size, const BmwText *answer)
{
	const long status = answer->len > 12 ? strtol(answer->data + 9, NULL, 10) : 0;

	REQUIRE(answer->len == 0 || strncmp(answer->data, "HTTP/1.", 7) == 0);
	REQUIRE(answer->len == 0 || (status >= 100 && status < 600 && status != 500));
	REQUIRE(answer->len == 0 || !has(answer->data, answer->len, csrf));
	REQUIRE(status != 503 || kind != 'c' || has(data, size, token));
	REQUIRE(status != 503 || kind != 'h' || has(data, size, csrf));
	REQUIRE(status != 200 || !(kind == 'q' || kind == 'c' || kind == 'b' || kind == 'a'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t kind = size > 0 && memchr("qcbah", data[0], 5) != NULL ? data[0] : 0;
	char *text = fuzz_text(data, size);
	BmwText request = {0}, answer = {0};

	if (http == NULL)
		start();
	open_session();
	if (kind != 0)
		frame(&request, kind, text + 1, size - 1);
	else
		bmw_text_append(&request, text, size);
	exchange(&request, &answer);
	judge(kind, text, size, &answer);
	if (sessions[0].db != NULL)
		bmw_session_close(&sessions[0], "over");
	bmw_text_free(&request);
	bmw_text_free(&answer);
	free(text);
	return 0;
}
