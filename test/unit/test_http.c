/*
 * test_http.c - the HTTP engine against a server of threads and raw sockets on
 * 127.0.0.1 that answers with whatever bytes a test wants.
 *
 * The script says what every connection does once it has read a request. The
 * server writes its counters before it answers, so that they can be read once
 * the answer is here.
 */
#define _GNU_SOURCE
#include "core/http.h"

#include <limits.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

#define S INT64_C(1000000)
#define OK_REPLY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define REPEATED 200 /* texts that are sent at once */
#define MAX_CONNECTIONS 1024
#define SLOW_NAME "slow.example"
#define OTHER_NAME "other.example" /* the server's */
#define MAX_REQUEST (1024 * 1024)

typedef enum Manner
{
	ANSWER, /* the reply, and on to the next request */
	ANSWER_AND_CLOSE,
	ANSWER_ONCE, /* the second request of a connection finds it closed */
	RESET,		 /* after the reply, if there is one */
	TRICKLE,	 /* a byte every 20 ms */
	REPEAT,		 /* the reply, until the client has enough */
	HANG		 /* until the client goes */
} Manner;

typedef struct Script
{
	Manner manner;
	const char *reply;
	size_t reply_len;  /* 0: up to its final 0 */
	const char *again; /* repeated after the reply, by REPEAT */
} Script;

typedef struct Server
{
	int listener;
	int port;
	pthread_t acceptor;
	pthread_t threads[MAX_CONNECTIONS];
	int threads_length;
	_Atomic int connections;
	_Atomic int requests;
	_Atomic(const Script *) script;
	char *request; /* the last one */
	size_t request_len;
	const char *request_body;
	pthread_mutex_t mutex;
} Server;

static Server server;
static BmwAddressPolicy policy;
static BmwHttp *http;
static char server_url[64];
static _Atomic int sockets_open;
static int sockets_limit = 1000;
static int sockets_highest;

static void
send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0)
	{
		const ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		bytes += sent;
		len -= (size_t) sent;
	}
}

/* Up to the end of the body; false when the client has gone. */
static bool
read_request(int fd, char *buffer, size_t *len)
{
	const char *end = NULL;
	size_t wanted = MAX_REQUEST;

	*len = 0;
	while (*len < wanted)
	{
		const ssize_t got = recv(fd, buffer + *len, wanted - *len, 0);

		if (got <= 0)
			return false;
		*len += (size_t) got;
		buffer[*len] = '\0';
		end = end != NULL ? end : memmem(buffer, *len, "\r\n\r\n", 4);
		if (end != NULL && wanted == MAX_REQUEST)
		{
			const char *length = strcasestr(buffer, "\r\ncontent-length: ");

			wanted =
				(size_t) (end + 4 - buffer) + (length != NULL ? strtoul(length + 18, NULL, 10) : 0);
		}
	}
	return true;
}

static void
remember(const char *buffer, size_t len)
{
	pthread_mutex_lock(&server.mutex);
	memcpy(server.request, buffer, len);
	server.request[len] = '\0';
	server.request_len = len;
	server.request_body = (char *) memmem(server.request, len, "\r\n\r\n", 4) + 4;
	server.requests++;
	pthread_mutex_unlock(&server.mutex);
}

static bool
is_gone(int fd, int wait_ms)
{
	struct pollfd watched = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&watched, 1, wait_ms) > 0 && recv(fd, &byte, 1, MSG_PEEK) <= 0;
}

/* Many at a time: megabytes of them must come before a timeout, on a busy machine too. */
static void
repeat(int fd, const char *text)
{
	const size_t len = strlen(text);
	char *many = malloc(REPEATED * len);

	for (size_t i = 0; i < REPEATED; i++)
		memcpy(many + i * len, text, len);
	while (!is_gone(fd, 0))
		send_all(fd, many, REPEATED * len);
	free(many);
}

/* False: close the connection. */
static bool
answer(int fd, const Script *script)
{
	const size_t len = script->reply_len != 0  ? script->reply_len
					   : script->reply != NULL ? strlen(script->reply)
											   : 0;
	const struct linger at_once = {.l_onoff = 1};

	switch (script->manner)
	{
		case ANSWER:
			send_all(fd, script->reply, len);
			return true;
		case ANSWER_AND_CLOSE:
		case ANSWER_ONCE:
			send_all(fd, script->reply, len);
			return script->manner == ANSWER_ONCE;
		case RESET:
			send_all(fd, script->reply, len);
			if (len > 0)
				usleep(50000);
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
			return false;
		case TRICKLE:
			for (size_t i = 0; i < len && !is_gone(fd, 20); i++)
				send_all(fd, script->reply + i, 1);
			return false;
		case REPEAT:
			send_all(fd, script->reply, len);
			repeat(fd, script->again);
			return false;
		case HANG:
			while (!is_gone(fd, 1000))
				;
			return false;
	}
	return false;
}

static void *
serve(void *argument)
{
	const int fd = (int) (intptr_t) argument;
	char *buffer = malloc(MAX_REQUEST + 1);
	size_t len;

	for (int count = 1; read_request(fd, buffer, &len); count++)
	{
		/* a copy: once it has its answer, the test may be over */
		const Script script = *server.script;

		/* the request arrives, and then its connection is dead */
		if (script.manner == ANSWER_ONCE && count > 1)
			break;
		remember(buffer, len);
		if (!answer(fd, &script))
			break;
	}
	close(fd);
	free(buffer);
	return NULL;
}

static void *
accept_all(void *unused)
{
	int fd;

	(void) unused;
	while ((fd = accept(server.listener, NULL, NULL)) >= 0)
	{
		const int on = 1;

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		server.connections++;
		if (server.threads_length == MAX_CONNECTIONS ||
			pthread_create(&server.threads[server.threads_length++], NULL, serve,
						   (void *) (intptr_t) fd) != 0)
			abort();
	}
	return NULL;
}

static void
start_server(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	socklen_t len = sizeof(address);

	server.listener = socket(AF_INET, SOCK_STREAM, 0);
	server.request = malloc(MAX_REQUEST + 1);
	pthread_mutex_init(&server.mutex, NULL);
	CHECK_INT(bind(server.listener, (struct sockaddr *) &address, sizeof(address)), 0);
	CHECK_INT(listen(server.listener, 128), 0);
	CHECK_INT(getsockname(server.listener, (struct sockaddr *) &address, &len), 0);
	server.port = ntohs(address.sin_port);
	snprintf(server_url, sizeof(server_url), "http://127.0.0.1:%d/hook", server.port);
	CHECK_INT(pthread_create(&server.acceptor, NULL, accept_all, NULL), 0);
}

static void
stop_server(void)
{
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.acceptor, NULL);
	for (int i = 0; i < server.threads_length; i++)
		pthread_join(server.threads[i], NULL);
	close(server.listener);
	free(server.request);
}

static bool
may_open(void)
{
	if (sockets_open >= sockets_limit)
		return false;
	sockets_open++;
	if (sockets_open > sockets_highest)
		sockets_highest = sockets_open;
	return true;
}

static void
closed(void)
{
	sockets_open--;
}

static void
allow(const char *networks)
{
	bmw_address_policy_free(&policy);
	memset(&policy, 0, sizeof(policy));
	CHECK_INT(bmw_networks_parse(networks, &policy.allowed), BMW_OK);
	CHECK_INT(bmw_ports_parse("1-65535", &policy.ports), BMW_OK);
}

static int entries; /* that are allowed still */

static bool
may_enter(void *context, void *tag, const struct sockaddr *address)
{
	(void) tag;
	CHECK(context == &entries && address->sa_family == AF_INET);
	return entries > 0 && entries-- > 0;
}

static void
begin_with(int max_connections, int pools)
{
	const BmwHttpConfig config = {
		.max_connections = max_connections,
		.max_idle = max_connections,
		.pools = pools,
		.user_agent = "test/1",
		.policy = &policy,
		.may_open_socket = may_open,
		.socket_closed = closed,
		.may_enter = may_enter,
		.context = &entries,
	};

	allow("127.0.0.0/8");
	sockets_highest = 0;
	entries = INT_MAX;
	server.requests = server.connections = 0;
	http = bmw_http_create(&config);
	CHECK(http != NULL);
}

static void
begin(const Script *script)
{
	server.script = script;
	begin_with(64, 4);
}

/* Whatever a test did, nothing stays open. */
static void
end(void)
{
	bmw_http_destroy(http);
	CHECK_INT(sockets_open, 0);
}

static const BmwHttpResult *
next(void)
{
	const BmwHttpResult *result;
	const time_t deadline = time(NULL) + 20;

	while ((result = bmw_http_next(http)) == NULL && time(NULL) < deadline)
	{
		struct pollfd watched = {.fd = bmw_http_fd(http), .events = POLLIN};

		poll(&watched, 1, bmw_http_prepare_wait(http));
		bmw_http_drive(http);
	}
	if (!CHECK(result != NULL))
		abort();
	return result;
}

static BmwHttpRequest
request_to(const char *url)
{
	return (BmwHttpRequest){.url = url,
							.body = "{}",
							.body_len = 2,
							.timeout_ms = 5000,
							.connect_timeout_ms = 2000};
}

static const BmwHttpResult *
send_one(const BmwHttpRequest *request)
{
	CHECK_INT(bmw_http_start(http, request), BMW_OK);
	return next();
}

static const BmwHttpResult *
send_to(const char *url)
{
	const BmwHttpRequest request = request_to(url);

	return send_one(&request);
}

static const BmwHttpResult *
post(void)
{
	return send_to(server_url);
}

static void
test_success(void)
{
	const Script script = {.reply = OK_REPLY};
	int tag;
	BmwHttpRequest request = request_to(server_url);

	begin(&script);
	CHECK(bmw_http_next(http) == NULL);
	request.tag = &tag;
	CHECK_INT(bmw_http_start(http, &request), BMW_OK);
	CHECK_INT(bmw_http_in_flight(http), 1);

	const BmwHttpResult *result = next();

	CHECK_INT(bmw_http_in_flight(http), 0);
	CHECK(result->tag == &tag);
	CHECK_INT(result->transport, BMW_TRANSPORT_OK);
	CHECK_INT(result->http_status, 200);
	CHECK_INT(result->retry_after_us, BMW_RETRY_AFTER_NONE);
	CHECK_INT(result->resent, 0);
	CHECK_TEXT(result->error, "");
	CHECK_TEXT(result->response, "ok");
	CHECK_INT(result->response_len, 2);
	CHECK(result->times.connect_us > 0 && result->times.connect_us <= result->times.first_byte_us);
	CHECK(result->times.first_byte_us <= result->times.total_us && result->times.total_us < 5 * S);
	CHECK_INT(result->times.tls_us, 0);
	CHECK(bmw_http_next(http) == NULL);
	end();
}

/* Asked before it connects and before it is sent, also on a connection that is open. */
static void
test_crowded(void)
{
	const Script script = {.reply = OK_REPLY};
	const BmwHttpRequest request = request_to(server_url);
	const struct
	{
		int entries;
		BmwTransport transport;
	} steps[] = {{0, BMW_TRANSPORT_CROWDED},
				 {1, BMW_TRANSPORT_CROWDED},
				 {2, BMW_TRANSPORT_OK},
				 {0, BMW_TRANSPORT_CROWDED},
				 {INT_MAX, BMW_TRANSPORT_OK}};

	begin(&script);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
	{
		entries = steps[i].entries;
		CHECK_INT(bmw_http_start(http, &request), BMW_OK);
		CHECK_INT(next()->transport, steps[i].transport);
	}
	CHECK_INT(server.requests, 2);
	end();
}

/* What a reply means; each on a handle that has been used for another before. */
typedef struct Case
{
	Script script;
	BmwTransport transport;
	int http_status;
	const char *response;
} Case;

static const Case cases[] = {
	{{.reply = "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad"}, BMW_TRANSPORT_OK, 500, "bad"},
	{{.reply = "HTTP/1.1 204 No Content\r\n\r\n"}, BMW_TRANSPORT_OK, 204, ""},
	{{.reply = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"},
	 BMW_TRANSPORT_OK,
	 302,
	 ""},
	{{.reply = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"},
	 BMW_TRANSPORT_OK,
	 401,
	 ""},
	{{.reply = "HTTP/1.1 100 Continue\r\n\r\n" OK_REPLY}, BMW_TRANSPORT_OK, 200, "ok"},
	{{.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
	 BMW_TRANSPORT_OK,
	 200,
	 "abc"},
	{{ANSWER_AND_CLOSE, "HTTP/1.0 200 OK\r\n\r\nuntil the end", 0, NULL},
	 BMW_TRANSPORT_OK,
	 200,
	 "until the end"},
	{{ANSWER_AND_CLOSE, "", 0, NULL}, BMW_TRANSPORT_RESET, 0, ""},
	{{RESET, "", 0, NULL}, BMW_TRANSPORT_RESET, 0, ""},
	{{RESET, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 0, NULL},
	 BMW_TRANSPORT_RESET,
	 200,
	 "half"},
	{{ANSWER_AND_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 0, NULL},
	 BMW_TRANSPORT_RESET,
	 200,
	 "half"},
	{{ANSWER_AND_CLOSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", 0, NULL},
	 BMW_TRANSPORT_RESET,
	 200,
	 "abc"},
	{{.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"},
	 BMW_TRANSPORT_RESET,
	 200,
	 ""},
	{{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nok"},
	 BMW_TRANSPORT_PROTOCOL,
	 200,
	 "ok"},
	{{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"},
	 BMW_TRANSPORT_OK,
	 200,
	 "ok"},
	{{.reply = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"}, BMW_TRANSPORT_PROTOCOL, 200, ""},
	{{ANSWER_AND_CLOSE, "this is not HTTP\r\n\r\n", 0, NULL}, BMW_TRANSPORT_PROTOCOL, 0, ""},
	{{ANSWER_AND_CLOSE, "\0\1\2\3\4\5\6\7\0\1\2\3", 12, NULL}, BMW_TRANSPORT_PROTOCOL, 0, ""},
	{{ANSWER_AND_CLOSE, "HTTP/1.1 2xx OK\r\n\r\n", 0, NULL}, BMW_TRANSPORT_PROTOCOL, 0, ""},
	/* a folded header that follows none, but that of the answer before */
	{{.reply = "HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 2\r\n\r\nok"},
	 BMW_TRANSPORT_PROTOCOL,
	 200,
	 ""},
	{{.reply =
		  "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\tfolded\r\nContent-Length: 2\r\n\r\nok"},
	 BMW_TRANSPORT_PROTOCOL,
	 200,
	 ""},
	/* what is folded later is, and the body is the body alone */
	{{.reply =
		  "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 2\r\n\r\nok"},
	 BMW_TRANSPORT_OK,
	 200,
	 "ok"},
	{{ANSWER_AND_CLOSE, "HTTP/7.3 200 OK\r\n\r\n", 0, NULL}, BMW_TRANSPORT_PROTOCOL, 0, ""},
	{{REPEAT, "HTTP/1.1 200 OK\r\n\r\n", 0,
	  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
	 BMW_TRANSPORT_TOO_LARGE,
	 200,
	 NULL},
	{{REPEAT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
	  "10\r\n0123456789abcdef\r\n"},
	 BMW_TRANSPORT_TOO_LARGE,
	 200,
	 NULL},
	/* what is between the chunks and after them */
	{{REPEAT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n2;", 0,
	  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
	 BMW_TRANSPORT_TOO_LARGE,
	 200,
	 "ok"},
	{{REPEAT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", 0,
	  "X-Many: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n"},
	 BMW_TRANSPORT_TOO_LARGE,
	 200,
	 "ok"},
	{{REPEAT, "HTTP/1.1 200 OK\r\nX-Long: ", 0,
	  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
	 BMW_TRANSPORT_TOO_LARGE,
	 200,
	 ""},
	{{REPEAT, "HTTP/1.1 200 OK\r\n", 0,
	  "X-Many: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n"},
	 BMW_TRANSPORT_TOO_LARGE,
	 200,
	 ""},
	{{REPEAT, "", 0,
	  "HTTP/1.1 100 Continue\r\nX-Many: 0123456789abcdef0123456789abcdef0123\r\n\r\n"},
	 BMW_TRANSPORT_TOO_LARGE,
	 100,
	 ""},
};

static void
test_cases(void)
{
	const Script fine = {.reply = OK_REPLY};

	begin(&fine);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const Case *expected = &cases[i];
		const int failures = unit_failures;

		server.script = &expected->script;

		const BmwHttpResult *result = post();

		CHECK_INT(result->transport, expected->transport);
		CHECK_INT(result->http_status, expected->http_status);
		CHECK_INT(result->error[0] == '\0', expected->transport == BMW_TRANSPORT_OK);
		CHECK_INT(result->response_len, strlen(result->response));
		if (expected->response != NULL)
			CHECK_TEXT(result->response, expected->response);
		if (unit_failures > failures)
			printf("  case %zu: %s\n", i, result->error);

		/* nothing of it stays */
		server.script = &fine;
		result = post();
		CHECK_INT(result->transport, BMW_TRANSPORT_OK);
		CHECK_INT(result->http_status, 200);
		CHECK_TEXT(result->error, "");
		CHECK_TEXT(result->response, "ok");
	}
	end();
}

static void
test_long_response_is_cut(void)
{
	static char reply[BMW_HTTP_RESPONSE_KEEP + 600];
	const int head = snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
							  BMW_HTTP_RESPONSE_KEEP + 500);
	const Script script = {.reply = reply,
						   .reply_len = (size_t) head + BMW_HTTP_RESPONSE_KEEP + 500};

	memset(reply + head, 'a', sizeof(reply) - (size_t) head);
	reply[head + 10] = '\0';
	begin(&script);

	const BmwHttpResult *result = post();

	CHECK_INT(result->transport, BMW_TRANSPORT_OK);
	CHECK_INT(result->response_len, BMW_HTTP_RESPONSE_KEEP);
	CHECK(memcmp(result->response, reply + head, BMW_HTTP_RESPONSE_KEEP) == 0);
	CHECK_INT(result->response[BMW_HTTP_RESPONSE_KEEP], 0);
	end();
}

static int64_t
retry_after(const char *value)
{
	static char reply[256];
	const Script script = {.reply = reply};

	snprintf(reply, sizeof(reply), "HTTP/1.1 503 No\r\n%s%s%sContent-Length: 0\r\n\r\n",
			 value != NULL ? "Retry-After: " : "", value != NULL ? value : "",
			 value != NULL ? "\r\n" : "");
	server.script = &script;
	return post()->retry_after_us;
}

static void
test_retry_after(void)
{
	const Script fine = {.reply = OK_REPLY};
	const time_t soon = time(NULL) + 100;
	char date[64];

	begin(&fine);
	CHECK_INT(retry_after("7"), 7 * S);
	CHECK_INT(retry_after(NULL), BMW_RETRY_AFTER_NONE);
	CHECK_INT(retry_after("  120 "), 120 * S);
	CHECK_INT(retry_after("-5"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(retry_after("0"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(retry_after("86401"), BMW_RETRY_AFTER_MAX_US);
	CHECK_INT(retry_after("9223372036854775807"), BMW_RETRY_AFTER_MAX_US);
	CHECK_INT(retry_after("99999999999999999999999999"), BMW_RETRY_AFTER_MAX_US);
	CHECK_INT(retry_after("soon"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(retry_after(""), BMW_RETRY_AFTER_NONE);
	CHECK_INT(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), BMW_RETRY_AFTER_NONE);
	CHECK_INT(retry_after("Fri, 31 Dec 9999 23:59:59 GMT"), BMW_RETRY_AFTER_MAX_US);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&soon));

	const int64_t us = retry_after(date);

	CHECK(us > 80 * S && us <= 100 * S);
	server.script = &fine;
	CHECK_INT(post()->retry_after_us, BMW_RETRY_AFTER_NONE);
	end();
}

static void
test_timeouts(void)
{
	const Script trickle = {TRICKLE, OK_REPLY, 0, NULL};
	const Script hang = {HANG, NULL, 0, NULL};
	const Script *scripts[] = {&trickle, &hang};
	BmwHttpRequest request = request_to(server_url);

	for (int i = 0; i < 2; i++)
	{
		begin(scripts[i]);
		request.timeout_ms = 300;

		const BmwHttpResult *result = send_one(&request);

		CHECK_INT(result->transport, BMW_TRANSPORT_TIMEOUT);
		CHECK(result->error[0] != '\0');
		CHECK(result->times.total_us >= S / 4 && result->times.total_us < 2 * S);
		end();
	}
}

static void
test_refused(void)
{
	const Script script = {.reply = OK_REPLY};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	const int unused = socket(AF_INET, SOCK_STREAM, 0);
	char url[64];

	/* bound, but nobody listens */
	CHECK_INT(bind(unused, (struct sockaddr *) &address, sizeof(address)), 0);
	CHECK_INT(getsockname(unused, (struct sockaddr *) &address, &len), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
	begin(&script);
	CHECK_INT(send_to(url)->transport, BMW_TRANSPORT_CONNECT);
	end();
	close(unused);
}

static void
test_no_such_name(void)
{
	const Script script = {.reply = OK_REPLY};
	BmwHttpRequest request = request_to("http://does-not-exist.invalid/");

	begin(&script);
	request.timeout_ms = 15000;
	request.connect_timeout_ms = 15000;
	CHECK_INT(send_one(&request)->transport, BMW_TRANSPORT_NAME);
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	end();
}

static pthread_mutex_t slow_names = PTHREAD_MUTEX_INITIALIZER;
static atomic_int slow_answers;
static atomic_int resolvers_refused; /* so often more, by epoll_ctl() */
static atomic_int other_answers;

/*
 * libcurl finds this one before the C library's: SLOW_NAME waits until the test lets it go, OTHER_NAME until
 * the resolver can be heard.
 */
int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	int (*original)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
		dlsym(RTLD_NEXT, "getaddrinfo");

	if (name != NULL && strcmp(name, OTHER_NAME) == 0)
	{
		while (atomic_load(&resolvers_refused) > 0)
			usleep(1000);
		atomic_fetch_add(&other_answers, 1);
		return original("127.0.0.1", service, hints, result);
	}
	if (name == NULL || strcmp(name, SLOW_NAME) != 0)
		return original(name, service, hints, result);
	pthread_mutex_lock(&slow_names);
	pthread_mutex_unlock(&slow_names);
	atomic_fetch_add(&slow_answers, 1);
	return EAI_AGAIN;
}

/* Who waits for a name does not wait for the receiver. */
static void
test_slow_name(void)
{
	const Script script = {.reply = OK_REPLY};
	BmwHttpRequest request = request_to("http://" SLOW_NAME "/");

	begin(&script);
	pthread_mutex_lock(&slow_names);
	request.timeout_ms = 300;
	CHECK_INT(send_one(&request)->transport, BMW_TRANSPORT_NAME);
	request.timeout_ms = 5000;
	request.connect_timeout_ms = 300;
	CHECK_INT(send_one(&request)->transport, BMW_TRANSPORT_NAME);
	pthread_mutex_unlock(&slow_names);
	while (atomic_load(&slow_answers) < 2)
		usleep(1000);
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	end();
}

static bool watches_are_refused; /* of receivers' sockets */
static bool sockets_are_refused;

/* In place of the C library's, as what a kernel without room says. */
int
epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	int family = AF_UNSPEC;
	socklen_t len = sizeof(family);

	(void) getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
	if (operation != EPOLL_CTL_ADD ||
		!(family == AF_INET ? watches_are_refused : atomic_load(&resolvers_refused) > 0))
		return (int) syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
	if (family != AF_INET)
		atomic_fetch_sub(&resolvers_refused, 1);
	errno = ENOSPC;
	return -1;
}

int
socket(int family, int type, int protocol)
{
	if (!sockets_are_refused)
		return (int) syscall(SYS_socket, family, type, protocol);
	errno = ENFILE;
	return -1;
}

/* No receiver is to blame, and no name server. */
static void
test_kernel_without_room(void)
{
	const Script script = {.reply = OK_REPLY};
	BmwHttpRequest request;
	char url[64];

	snprintf(url, sizeof(url), "http://" OTHER_NAME ":%d/", server.port);
	request = request_to(url);
	begin(&script);
	sockets_are_refused = true;
	CHECK_INT(post()->transport, BMW_TRANSPORT_LOCAL);
	CHECK_INT(send_to("http://does-not-exist.invalid/")->transport, BMW_TRANSPORT_LOCAL);
	sockets_are_refused = false;

	watches_are_refused = true;
	CHECK_INT(post()->transport, BMW_TRANSPORT_LOCAL);
	watches_are_refused = false;

	resolvers_refused = INT_MAX;
	request.timeout_ms = 300;
	CHECK_INT(send_one(&request)->transport, BMW_TRANSPORT_LOCAL);

	/* what the resolver says is heard when there is room */
	resolvers_refused = 3;
	request.timeout_ms = 5000;
	CHECK_INT(send_one(&request)->transport, BMW_TRANSPORT_OK);
	CHECK_INT(resolvers_refused, 0);
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	resolvers_refused = 0;
	while (atomic_load(&other_answers) < 2)
		usleep(1000);
	end();
}

static void
test_not_tls(void)
{
	const Script script = {ANSWER_AND_CLOSE, OK_REPLY, 0, NULL};
	const Script hello = {ANSWER_AND_CLOSE, "", 0, NULL};
	char url[64];

	/* the handshake is no HTTP request, so that the server only waits */
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", server.port);
	begin(&script);

	BmwHttpRequest request = request_to(url);

	request.timeout_ms = 300;
	CHECK_INT(send_one(&request)->transport, BMW_TRANSPORT_TIMEOUT);
	server.script = &hello;
	end();
}

static void
test_blocked(void)
{
	const Script script = {.reply = OK_REPLY};

	begin(&script);
	allow("10.0.0.0/8");

	const BmwHttpResult *result = post();

	CHECK_INT(result->transport, BMW_TRANSPORT_BLOCKED);
	CHECK_INT(result->http_status, 0);
	CHECK_INT(server.connections, 0);

	/* and not for ever */
	allow("127.0.0.0/8");
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	end();
}

static void
test_blocked_on_a_kept_connection(void)
{
	const Script script = {.reply = OK_REPLY};

	begin(&script);
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	allow("10.0.0.0/8");
	CHECK_INT(post()->transport, BMW_TRANSPORT_BLOCKED);
	CHECK_INT(server.requests, 1);
	allow("127.0.0.0/8");
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	CHECK_INT(server.requests, 2);
	end();
}

static void
test_environment_is_ignored(void)
{
	const char *names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"};
	const Script script = {.reply = OK_REPLY};

	for (int i = 0; i < 5; i++)
		setenv(names[i], "http://192.0.2.1:9/", 1);
	begin(&script);
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	CHECK(strncmp(server.request, "POST /hook HTTP/1.1\r\n", 21) == 0);
	end();
	for (int i = 0; i < 5; i++)
		unsetenv(names[i]);
}

static void
test_redirect_is_not_followed(void)
{
	static char reply[200];
	const Script script = {.reply = reply};

	snprintf(reply, sizeof(reply), "HTTP/1.1 307 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
			 server_url);
	begin(&script);
	CHECK_INT(post()->http_status, 307);
	CHECK_INT(server.requests, 1);
	end();
}

static bool
request_has(const char *line)
{
	return strstr(server.request, line) != NULL;
}

static void
test_bytes_arrive(void)
{
	const Script script = {.reply = OK_REPLY};
	const BmwHttpHeader headers[] = {
		{"content-type", "application/json"},
		{"webhook-id", "42"},
		{"x-empty", ""},
		{"x-odd", "a: b;c  \"d\" %s {}"},
	};
	static char body[500000];
	uint64_t random = 7;
	BmwHttpRequest request = request_to(server_url);

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char) unit_random(&random);
	request.headers = headers;
	request.headers_length = 4;
	request.body = body;
	begin(&script);
	for (size_t len = 0; len <= sizeof(body); len = len == 0	 ? 1
													: len < 3000 ? len * 7
																 : len + 124250)
	{
		request.body_len = len;
		CHECK_INT(send_one(&request)->transport, BMW_TRANSPORT_OK);
		CHECK_INT(server.request_len - (size_t) (server.request_body - server.request), len);
		CHECK(memcmp(server.request_body, body, len) == 0);
		server.request[server.request_body - server.request] = '\0';
		CHECK(strncmp(server.request, "POST /hook HTTP/1.1\r\n", 21) == 0);
		CHECK(request_has("\r\ncontent-type: application/json\r\n"));
		CHECK(request_has("\r\nwebhook-id: 42\r\n"));
		CHECK(request_has("\r\nx-empty:\r\n") || request_has("\r\nx-empty: \r\n"));
		CHECK(request_has("\r\nx-odd: a: b;c  \"d\" %s {}\r\n"));
		CHECK(request_has("\r\nUser-Agent: test/1\r\n"));
		CHECK(!request_has("x-www-form-urlencoded"));
		CHECK(strcasestr(server.request, "\r\nexpect:") == NULL);
	}
	end();
}

static void
test_reuse(void)
{
	const Script script = {.reply = OK_REPLY};

	begin(&script);
	for (int i = 0; i < 200; i++)
	{
		CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
		CHECK_INT(sockets_open, 1);
	}
	CHECK_INT(server.requests, 200);
	CHECK_INT(server.connections, 1);
	end();
}

static void
test_many_at_once(void)
{
	const Script script = {.reply = OK_REPLY};
	const BmwHttpRequest request = request_to(server_url);

	begin(&script);
	for (int round = 0; round < 3; round++)
	{
		for (int i = 0; i < 50; i++)
			CHECK_INT(bmw_http_start(http, &request), BMW_OK);
		CHECK_INT(bmw_http_in_flight(http), 50);
		for (int i = 0; i < 50; i++)
			CHECK_INT(next()->transport, BMW_TRANSPORT_OK);
		CHECK_INT(bmw_http_in_flight(http), 0);
	}
	CHECK_INT(server.requests, 150);
	CHECK(server.connections <= 50);
	end();
}

/* However many endpoints there are: idle connections make room for others. */
static void
test_max_connections(void)
{
	const Script script = {.reply = OK_REPLY};
	char url[64];

	server.script = &script;
	begin_with(3, 1);
	for (int round = 0; round < 2; round++)
	{
		for (int i = 1; i <= 12; i++)
		{
			snprintf(url, sizeof(url), "http://127.0.0.%d:1/", i);

			const BmwHttpRequest request = request_to(url);

			/* nobody listens there */
			CHECK_INT(bmw_http_start(http, &request), BMW_OK);
			CHECK_INT(bmw_http_start(http,
									 &(BmwHttpRequest){
										 .url = server_url,
										 .body = "",
										 .timeout_ms = 5000,
										 .connect_timeout_ms = 2000,
									 }),
					  BMW_OK);
		}
		for (int i = 1; i <= 12; i++)
		{
			CHECK(next()->transport != BMW_TRANSPORT_LOCAL);
			CHECK(next()->transport != BMW_TRANSPORT_LOCAL);
		}
	}
	CHECK_INT(server.requests, 24);
	CHECK(sockets_highest <= 3);
	end();
}

/* Each host keeps its connections, whichever pool it is in; together they keep max_idle. */
static void
test_many_hosts(void)
{
	const Script script = {.reply = OK_REPLY};
	char url[64];

	begin(&script);
	for (int i = 0; i < 100; i++)
	{
		snprintf(url, sizeof(url), "http://127.0.1.%d:%d/hook", 1 + i % 50, server.port);
		CHECK_INT(send_to(url)->transport, BMW_TRANSPORT_OK);
	}
	CHECK_INT(server.connections, 50);
	CHECK_INT(sockets_open, 50);
	for (int i = 0; i < 200; i++)
	{
		snprintf(url, sizeof(url), "http://127.0.2.%d:%d/hook", 1 + i, server.port);
		CHECK_INT(send_to(url)->transport, BMW_TRANSPORT_OK);
	}
	CHECK(sockets_open >= 50 && sockets_open <= 64 + 4 * 16);
	end();
	CHECK_INT(sockets_open, 0);
}

static time_t coarse_later;

/* The engine finds this one before the C library's: the clock by which connections are idle. */
int
clock_gettime(clockid_t which, struct timespec *now)
{
	static int (*original)(clockid_t, struct timespec *);

	if (original == NULL)
		original = dlsym(RTLD_NEXT, "clock_gettime");

	const int result = original(which, now);

	if (which == CLOCK_MONOTONIC_COARSE)
		now->tv_sec += coarse_later;
	return result;
}

static void
test_idle_connections_are_closed(void)
{
	const Script script = {.reply = OK_REPLY};

	begin(&script);
	CHECK_INT(bmw_http_prepare_wait(http), -1);
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	CHECK(bmw_http_prepare_wait(http) > 50 * 1000);
	CHECK_INT(sockets_open, 1);
	coarse_later = 61;
	CHECK_INT(bmw_http_prepare_wait(http), -1);
	CHECK_INT(sockets_open, 0);
	coarse_later = 0;
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	CHECK_INT(server.connections, 2);
	end();
}

static void
test_no_socket_to_be_had(void)
{
	const Script script = {.reply = OK_REPLY};

	begin(&script);
	sockets_limit = 0;

	const BmwHttpResult *result = post();

	CHECK_INT(result->transport, BMW_TRANSPORT_LOCAL);
	CHECK(result->error[0] != '\0');
	sockets_limit = 1000;
	CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
	end();
}

/* libcurl sends again by itself when the connection had died while it was idle. */
static void
test_resent(void)
{
	const Script once = {ANSWER_ONCE, OK_REPLY, 0, NULL};

	begin(&once);
	CHECK_INT(post()->resent, 0);

	const BmwHttpResult *result = post();

	CHECK_INT(result->transport, BMW_TRANSPORT_OK);
	CHECK_INT(result->resent, 1);
	CHECK_INT(server.requests, 2);
	CHECK_INT(server.connections, 2);
	end();
}

static void
test_idle_connection_closed_by_the_server(void)
{
	const Script script = {ANSWER_AND_CLOSE, OK_REPLY, 0, NULL};

	begin(&script);
	for (int i = 0; i < 5; i++)
	{
		CHECK_INT(post()->transport, BMW_TRANSPORT_OK);
		usleep(20000);
		bmw_http_prepare_wait(http);
		bmw_http_drive(http);
	}
	CHECK_INT(server.requests, 5);
	end();
}

static void
test_destroy_in_flight(void)
{
	const Script script = {HANG, NULL, 0, NULL};
	const BmwHttpRequest request = request_to(server_url);

	begin(&script);
	for (int i = 0; i < 20; i++)
		CHECK_INT(bmw_http_start(http, &request), BMW_OK);
	while (server.requests < 20)
	{
		bmw_http_prepare_wait(http);
		bmw_http_drive(http);
	}
	CHECK_INT(bmw_http_start(http, &request), BMW_OK);
	CHECK_INT(bmw_http_in_flight(http), 21);
	end();
	bmw_http_destroy(NULL);
}

static bool
is_odd(const void *tag, void *context)
{
	++*(int *) context;
	return *(const int *) tag % 2 != 0;
}

/* Only what is asked for, each with a result; the others go on. */
static void
test_abort(void)
{
	static int tags[20];
	const Script script = {HANG, NULL, 0, NULL};
	const Script fine = {.reply = OK_REPLY};
	BmwHttpRequest request = request_to(server_url);
	int asked = 0;

	begin(&script);
	for (int i = 0; i < 20; i++)
	{
		tags[i] = i;
		request.tag = &tags[i];
		CHECK_INT(bmw_http_start(http, &request), BMW_OK);
	}
	while (server.requests < 20)
	{
		bmw_http_prepare_wait(http);
		bmw_http_drive(http);
	}
	bmw_http_abort(http, is_odd, &asked);
	CHECK_INT(asked, 20);
	for (int i = 0; i < 10; i++)
	{
		const BmwHttpResult *result = next();

		CHECK_INT(result->transport, BMW_TRANSPORT_ABORTED);
		CHECK_INT(*(int *) result->tag % 2, 1);
	}
	CHECK_INT(bmw_http_in_flight(http), 10);
	bmw_http_abort(http, is_odd, &asked);
	CHECK_INT(asked, 30);
	CHECK_INT(bmw_http_in_flight(http), 10);

	/* the handles are used again */
	server.script = &fine;
	request.tag = &tags[0];
	CHECK_INT(send_one(&request)->transport, BMW_TRANSPORT_OK);
	end();
}

int
main(void)
{
	start_server();
	test_success();
	test_crowded();
	test_cases();
	test_long_response_is_cut();
	test_retry_after();
	test_timeouts();
	test_refused();
	test_no_such_name();
	test_slow_name();
	test_kernel_without_room();
	test_not_tls();
	test_blocked();
	test_blocked_on_a_kept_connection();
	test_environment_is_ignored();
	test_redirect_is_not_followed();
	test_bytes_arrive();
	test_reuse();
	test_many_at_once();
	test_max_connections();
	test_many_hosts();
	test_idle_connections_are_closed();
	test_no_socket_to_be_had();
	test_resent();
	test_idle_connection_closed_by_the_server();
	test_destroy_in_flight();
	test_abort();
	stop_server();
	bmw_address_policy_free(&policy);
	return unit_finish("http");
}
