/*
 * curl_bench.c - what libcurl does at best when nothing but sending is asked of it:
 * curl_bench [-n REQUESTS | -w WARM_S -t SECONDS] [-f IN_FLIGHT] [-b BODY_BYTES] [-c CA_FILE] < URLS
 *
 * Easy handles are used again, one for each request in flight; every request has the headers of the dispatcher
 * and a signature of its own; the URLs take turns. Prints 2xx a second (with -t: within those seconds, after the
 * warm ones), microseconds of processor time for each request, and how many failed.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/sign.h"

#define MAX_URLS 200000

typedef struct Slot
{
	CURL *easy;
	struct curl_slist *headers;
} Slot;

typedef struct Bench
{
	CURLM *multi;
	BmwSigner *signer;
	BmwSecret secret;
	char *urls[MAX_URLS];
	long urls_length;
	char *body;
	size_t body_length;
	const char *ca_file;
	long requests; /* 0: until the time is over */
	double ends_at;
	long started;
	long finished;
	long succeeded;
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

static size_t
swallow(char *data, size_t size, size_t length, void *context)
{
	(void) data;
	(void) context;
	return size * length;
}

static void
add_header(Slot *slot, const char *name, const char *value)
{
	char line[512];

	snprintf(line, sizeof(line), "%s: %s", name, value);
	slot->headers = curl_slist_append(slot->headers, line);
}

static void
sign(Bench *bench, Slot *slot)
{
	char id[64];
	char timestamp[24];
	char signature[BMW_SIGNATURE_TEXT_SIZE];
	const BmwMessage message = {.id = id, .timestamp_s = time(NULL), .body = bench->body, .body_len = bench->body_length};

	snprintf(id, sizeof(id), "0198aaaa-0000-7000-8000-%012ld", bench->started);
	snprintf(timestamp, sizeof(timestamp), "%" PRId64, message.timestamp_s);
	if (bmw_sign(bench->signer, &bench->secret, &message, signature) != BMW_OK)
		abort();
	curl_slist_free_all(slot->headers);
	slot->headers = NULL;
	add_header(slot, "content-type", "application/json");
	add_header(slot, "webhook-id", id);
	add_header(slot, "webhook-timestamp", timestamp);
	add_header(slot, "webhook-signature", signature);
	add_header(slot, "bm-webhook-attempt", "1");
}

static void
start(Bench *bench, Slot *slot)
{
	sign(bench, slot);
	curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers);
	curl_easy_setopt(slot->easy, CURLOPT_URL, bench->urls[bench->started % bench->urls_length]);
	bench->started++;
	curl_multi_add_handle(bench->multi, slot->easy);
}

static void
prepare(Bench *bench, Slot *slot)
{
	slot->easy = curl_easy_init();
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, swallow);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, bench->body);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long) bench->body_length);
	curl_easy_setopt(slot->easy, CURLOPT_USERAGENT, "bm_webhook/bench");
	curl_easy_setopt(slot->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(slot->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, 15000L);
	curl_easy_setopt(slot->easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	if (bench->ca_file == NULL)
		return;
	curl_easy_setopt(slot->easy, CURLOPT_CAINFO, bench->ca_file);
	curl_easy_setopt(slot->easy, CURLOPT_CAPATH, NULL);
}

static int
is_over(const Bench *bench)
{
	return bench->requests > 0 ? bench->started >= bench->requests : seconds() >= bench->ends_at;
}

/* Takes what has finished and starts another in its place. */
static void
turn(Bench *bench)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(bench->multi, &left)) != NULL)
	{
		CURL *easy = message->easy_handle;
		const CURLcode code = message->data.result;
		Slot *slot = NULL;
		long status = 0;

		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &slot);
		curl_multi_remove_handle(bench->multi, easy);
		bench->finished++;
		bench->succeeded += code == CURLE_OK && status / 100 == 2;
		if (!is_over(bench))
			start(bench, slot);
	}
}

static void
run(Bench *bench)
{
	int running;

	do
	{
		curl_multi_perform(bench->multi, &running);
		turn(bench);
		if (bench->finished < bench->started)
			curl_multi_poll(bench->multi, NULL, 0, 1000, NULL);
	} while (bench->finished < bench->started && (bench->requests > 0 || seconds() < bench->ends_at));
}

static void
read_urls(Bench *bench)
{
	char line[512];

	while (bench->urls_length < MAX_URLS && fgets(line, sizeof(line), stdin) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		bench->urls[bench->urls_length++] = strdup(line);
	}
}

int
main(int argc, char **argv)
{
	static Bench bench = {.requests = 0, .body_length = 1024};
	long in_flight = 64;
	double warm_s = 0;
	double measured_s = 0;
	double began;
	long before = 0;
	int option;

	while ((option = getopt(argc, argv, "n:w:t:f:b:c:")) != -1)
	{
		const long number = strtol(optarg, NULL, 10);

		switch (option)
		{
			case 'n': bench.requests = number; break;
			case 'w': warm_s = (double) number; break;
			case 't': measured_s = (double) number; break;
			case 'f': in_flight = number; break;
			case 'b': bench.body_length = (size_t) number; break;
			case 'c': bench.ca_file = optarg; break;
			default: return 2;
		}
	}
	read_urls(&bench);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	bench.multi = curl_multi_init();
	bench.signer = bmw_signer_create();
	bench.body = malloc(bench.body_length + 1);
	if (bench.urls_length == 0 || bench.multi == NULL || bench.signer == NULL || bench.body == NULL ||
		(bench.requests == 0 && measured_s <= 0))
		return 2;
	memset(bench.body, 'x', bench.body_length);
	bench.secret.len = 32;
	curl_multi_setopt(bench.multi, CURLMOPT_MAXCONNECTS, bench.urls_length + in_flight);
	began = seconds();
	bench.ends_at = began + (warm_s > 0 ? warm_s : measured_s);
	for (long i = 0; i < in_flight && (bench.requests == 0 || bench.started < bench.requests); i++)
	{
		Slot *slot = calloc(1, sizeof(Slot));

		if (slot == NULL)
			return 1;
		prepare(&bench, slot);
		start(&bench, slot);
	}
	run(&bench);
	if (warm_s > 0)
	{
		before = bench.succeeded;
		began = seconds();
		bench.ends_at = began + measured_s;
		turn(&bench);
		run(&bench);
	}
	printf("%.0f %.2f %ld\n", (double) (bench.succeeded - before) / (seconds() - began),
		   processor_seconds() * 1e6 / (double) bench.finished, bench.finished - bench.succeeded);
	return 0;
}
