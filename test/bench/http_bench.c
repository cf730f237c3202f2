/*
 * http_bench.c - the HTTP engine and the signer without a database:
 * http_bench URL REQUESTS IN_FLIGHT BODY_BYTES; prints requests a second and
 * microseconds of processor time for each.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/http.h"
#include "core/sign.h"

typedef struct Bench
{
	BmwHttp *http;
	BmwSigner *signer;
	BmwSecret secret;
	const char *url;
	char *body;
	size_t body_len;
	long started;
} Bench;

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static double
processor_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		(double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* What the dispatcher sends: the same headers, a signature of its own for each. */
static bool
start(Bench *bench)
{
	char id[64];
	char timestamp[24];
	char signature[BMW_SIGNATURE_TEXT_SIZE];
	const BmwHttpHeader headers[] = {
		{"content-type", "application/json"}, {"webhook-id", id}, {"webhook-timestamp", timestamp},
		{"webhook-signature", signature}, {"bm-webhook-attempt", "1"},
	};
	const BmwMessage message = {.id = id, .timestamp_s = time(NULL), .body = bench->body, .body_len = bench->body_len};
	const BmwHttpRequest request = {
		.url = bench->url, .headers = headers, .headers_length = 5, .body = bench->body, .body_len = bench->body_len,
		.timeout_ms = 15000, .connect_timeout_ms = 5000,
	};

	snprintf(id, sizeof(id), "0198aaaa-0000-7000-8000-%012ld", bench->started++);
	snprintf(timestamp, sizeof(timestamp), "%" PRId64, message.timestamp_s);
	return bmw_sign(bench->signer, &bench->secret, &message, signature) == BMW_OK &&
		bmw_http_start(bench->http, &request) == BMW_OK;
}

static long
run(Bench *bench, long requests, int in_flight)
{
	const BmwHttpResult *result;
	long finished = 0;
	long failed = 0;

	while (finished < requests)
	{
		struct pollfd watched = {.fd = bmw_http_fd(bench->http), .events = POLLIN};

		while (bench->started < requests && bench->started - finished < in_flight)
			if (!start(bench))
				return requests;
		bmw_http_drive(bench->http);
		for (; (result = bmw_http_next(bench->http)) != NULL; finished++)
			failed += result->transport != BMW_TRANSPORT_OK || result->http_status / 100 != 2;
		if (finished == bench->started)
			continue;
		poll(&watched, 1, bmw_http_prepare_wait(bench->http));
	}
	return failed;
}

int
main(int argc, char **argv)
{
	static BmwAddressPolicy policy;
	const BmwHttpConfig config = {.max_connections = 12000, .max_idle = 2000, .user_agent = "bm_webhook/bench", .policy = &policy};
	Bench bench = {.http = bmw_http_create(&config), .signer = bmw_signer_create()};
	double began;
	long requests;
	long failed;

	if (argc != 5)
	{
		fprintf(stderr, "usage: http_bench URL REQUESTS IN_FLIGHT BODY_BYTES\n");
		return 2;
	}
	if (bench.http == NULL || bench.signer == NULL ||
		bmw_networks_parse("127.0.0.0/8", &policy.allowed) != BMW_OK || bmw_ports_parse("1-65535", &policy.ports) != BMW_OK)
		return 1;
	requests = strtol(argv[2], NULL, 10);
	bench.url = argv[1];
	bench.body_len = strtoul(argv[4], NULL, 10);
	bench.body = malloc(bench.body_len + 1);
	if (bench.body == NULL)
		return 1;
	memset(bench.body, 'x', bench.body_len);
	bench.secret.len = 32;
	began = seconds();
	failed = run(&bench, requests, (int) strtol(argv[3], NULL, 10));
	printf("%.0f %.2f\n", (double) requests / (seconds() - began), processor_seconds() * 1e6 / (double) requests);
	bmw_http_destroy(bench.http);
	bmw_signer_destroy(bench.signer);
	bmw_address_policy_free(&policy);
	free(bench.body);
	if (failed > 0)
		fprintf(stderr, "http_bench: %ld requests failed\n", failed);
	return failed > 0;
}
