/*
 * console/listen_target.c - where events go: requests like the dispatcher's, with a secret of their own.
 */
#include "console/listen_target.h"

#include <err.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "console/wait.h"
#include "core/request.h"

#define TIMEOUT_MS 30000
#define CONNECT_TIMEOUT_MS 5000

/* All that is not of this machine, of what could be opened. */
static const char elsewhere[] = "0.0.0.0/2, 64.0.0.0/3, 96.0.0.0/4, 112.0.0.0/5, 120.0.0.0/6, "
								"124.0.0.0/7, 126.0.0.0/8, 128.0.0.0/1, 2000::/3";

static void
set_policy(BmwAddressPolicy *policy, bool allows_remote)
{
	const char *allowed = allows_remote ? "0.0.0.0/0, ::/0" : "127.0.0.0/8, ::1";

	if (bmw_networks_parse(allowed, &policy->allowed) != BMW_OK ||
		bmw_networks_parse(allows_remote ? "" : elsewhere, &policy->denied) != BMW_OK ||
		bmw_ports_parse("1-65535", &policy->ports) != BMW_OK)
		errx(1, "out of memory");
}

static void
make_secret(BmwSecret *secret)
{
	uint8_t random[32];

	if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random) ||
		bmw_secret_make(BMW_SECRET_HMAC, random, secret) != BMW_OK)
		err(1, "no random bytes");
}

void
bmw_target_open(BmwTarget *target, const char *url, bool allows_remote)
{
	const BmwHttpConfig config = {.max_connections = 1,
								  .max_idle = 1,
								  .pools = 1,
								  .user_agent = BMW_USER_AGENT,
								  .policy = &target->policy};

	target->url = url;
	set_policy(&target->policy, allows_remote);
	make_secret(&target->secret);
	target->signer = bmw_signer_create();
	target->http = bmw_http_create(&config);
	if (target->signer == NULL || target->http == NULL)
		errx(1, "out of memory");
}

void
bmw_target_secret(const BmwTarget *target, char *text)
{
	(void) bmw_secret_format(&target->secret, text);
}

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
start(BmwTarget *target, BmwEvent *event, bool is_thin)
{
	BmwRequestSource source = {.event_id = event->id_text,
							   .secrets = &target->secret,
							   .secrets_length = 1,
							   .now_us = now_us(),
							   .attempt = 1};
	BmwRequestHeaders headers;

	if (!bmw_event_body(event, is_thin, &source.body) ||
		!bmw_request_headers(target->signer, &source, &headers) ||
		bmw_http_start(target->http, &(BmwHttpRequest){.url = target->url,
													   .headers = headers.items,
													   .headers_length = headers.length,
													   .body = source.body.bytes,
													   .body_len = source.body.length,
													   .timeout_ms = TIMEOUT_MS,
													   .connect_timeout_ms = CONNECT_TIMEOUT_MS,
													   .tag = event}) != BMW_OK)
		errx(1, "out of memory");
}

const BmwHttpResult *
bmw_target_send(BmwTarget *target, BmwEvent *event, bool is_thin)
{
	const BmwHttpResult *result = NULL;

	start(target, event, is_thin);
	while (result == NULL && !bmw_wait_is_over())
	{
		bmw_wait_for(bmw_http_fd(target->http), POLLIN, bmw_http_prepare_wait(target->http));
		bmw_http_drive(target->http);
		result = bmw_http_next(target->http);
	}
	return result;
}

void
bmw_target_close(BmwTarget *target)
{
	bmw_http_destroy(target->http);
	bmw_signer_destroy(target->signer);
	bmw_address_policy_free(&target->policy);
	explicit_bzero(&target->secret, sizeof(target->secret));
}
