/*
 * fuzz_response.c - whatever a receiver answers, its request ends with a result that can be recorded.
 *
 * The input is what the receiver sends, byte for byte, once it has the request; then it closes.
 */
#include "core/http.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/retry_after.h"
#include "fuzz.h"

#define BODY "{\"end\":true}"

static BmwAddressPolicy policy;
static BmwHttp *http;
static char url[64];
static int listener;

static void
start(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	REQUIRE(bind(listener, (struct sockaddr *) &address, len) == 0 && listen(listener, 8) == 0);
	REQUIRE(getsockname(listener, (struct sockaddr *) &address, &len) == 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
	REQUIRE(bmw_networks_parse("127.0.0.0/8", &policy.allowed) == BMW_OK);
	REQUIRE(bmw_ports_parse("1-65535", &policy.ports) == BMW_OK);
	http = bmw_http_create(&(BmwHttpConfig){.max_connections = 8,
											.max_idle = 8,
											.pools = 1,
											.user_agent = "fuzz",
											.policy = &policy});
	REQUIRE(http != NULL);
}

/* Closing a socket with something unread in it would take the answer back. */
static void
answer(int connection, const uint8_t *data, size_t size)
{
	char request[4096];
	size_t len = 0;

	while (len < strlen(BODY) || memcmp(request + len - strlen(BODY), BODY, strlen(BODY)) != 0)
	{
		const ssize_t got = recv(connection, request + len, sizeof(request) - len, 0);

		if (got <= 0)
			break;
		len += (size_t) got;
	}
	while (size > 0)
	{
		const ssize_t sent = send(connection, data, size, MSG_NOSIGNAL);

		if (sent <= 0)
			break;
		data += sent;
		size -= (size_t) sent;
	}
	close(connection);
}

static const BmwHttpResult *
post(const uint8_t *data, size_t size)
{
	const BmwHttpRequest request = {.url = url,
									.body = BODY,
									.body_len = strlen(BODY),
									.timeout_ms = 5000,
									.connect_timeout_ms = 5000};
	const BmwHttpResult *result = NULL;

	REQUIRE(bmw_http_start(http, &request) == BMW_OK);
	while (result == NULL)
	{
		struct pollfd fds[] = {{.fd = bmw_http_fd(http), .events = POLLIN},
							   {.fd = listener, .events = POLLIN}};
		int connection = -1;

		poll(fds, 2, bmw_http_prepare_wait(http));
		bmw_http_drive(http);
		while ((connection = accept(listener, NULL, NULL)) >= 0)
		{
			/* the request is written when the client is driven */
			bmw_http_prepare_wait(http);
			bmw_http_drive(http);
			answer(connection, data, size);
		}
		result = bmw_http_next(http);
	}
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const BmwHttpResult *result;

	if (http == NULL)
		start();
	result = post(data, size);
	REQUIRE(result->transport != BMW_TRANSPORT_BLOCKED && result->transport != BMW_TRANSPORT_NAME);
	REQUIRE((result->transport == BMW_TRANSPORT_OK) == (result->error[0] == '\0'));
	REQUIRE(memchr(result->error, '\0', sizeof(result->error)) != NULL);
	REQUIRE(result->response_len <= BMW_HTTP_RESPONSE_KEEP && result->response_len <= size);
	REQUIRE(result->response[result->response_len] == '\0');
	REQUIRE(result->http_status >= 0 && result->http_status <= 999);
	REQUIRE(result->retry_after_us == BMW_RETRY_AFTER_NONE ||
			(result->retry_after_us > 0 && result->retry_after_us <= BMW_RETRY_AFTER_MAX_US));
	REQUIRE(bmw_http_next(http) == NULL && bmw_http_in_flight(http) == 0);
	return 0;
}
