/*
 * core/http_pool.c - libcurl's multi handles: several, each with the connections of some hosts.
 *
 * libcurl walks over all connections and all cached addresses of a multi handle
 * after every request. With 2,000 connections that takes as long as the request itself;
 * so they are divided by what the URL says of the host.
 */
#include <stdlib.h>
#include <time.h>

#include "core/http_internal.h"

#define IDLE_MS (BMW_HTTP_IDLE_S * INT64_C(1000))

static bool set_up(BmwHttpPool *pool);
static void resolve_apart(const BmwHttpPool *pool);
static uint64_t hash_of_host(const char *url);
static void limit_idle(const BmwHttpPool *pool);
static int64_t clock_ms(void);

bool
bmw_http_pools_make(BmwHttp *http)
{
	http->pools_length = http->config.pools;
	http->pools = calloc((size_t) http->pools_length, sizeof(*http->pools));
	for (int i = 0; http->pools != NULL && i < http->pools_length; i++)
		http->pools[i].http = http;
	return http->pools != NULL;
}

void
bmw_http_pools_free(BmwHttp *http)
{
	for (int i = 0; http->pools != NULL && i < http->pools_length; i++)
		bmw_http_pool_close(&http->pools[i]);
	free(http->pools);
}

BmwHttpPool *
bmw_http_pool_of(BmwHttp *http, const char *url)
{
	BmwHttpPool *pool = &http->pools[hash_of_host(url) % (uint64_t) http->pools_length];

	return pool->multi != NULL || set_up(pool) ? pool : NULL;
}

bool
bmw_http_pool_add(BmwHttpPool *pool, BmwTransfer *transfer)
{
	if (curl_multi_add_handle(pool->multi, transfer->easy) != CURLM_OK)
		return false;
	transfer->pool = pool;
	pool->running++;
	pool->http->running++;
	return true;
}

void
bmw_http_pool_remove(BmwTransfer *transfer)
{
	BmwHttpPool *pool = transfer->pool;

	curl_multi_remove_handle(pool->multi, transfer->easy);
	transfer->pool = NULL;
	pool->http->running--;
	if (--pool->running == 0)
		pool->idle_since_ms = clock_ms();
}

int
bmw_http_pool_prepare_wait(BmwHttpPool *pool)
{
	long timeout_ms = -1;

	if (pool->running == 0)
	{
		const int64_t left_ms = pool->open > 0 ? pool->idle_since_ms + IDLE_MS - clock_ms() : 1;

		if (left_ms <= 0)
			bmw_http_pool_close(pool);
		return pool->open > 0 ? (int) left_ms : -1;
	}
	limit_idle(pool);
	curl_multi_timeout(pool->multi, &timeout_ms);
	return (int) timeout_ms;
}

void
bmw_http_pool_close(BmwHttpPool *pool)
{
	if (pool->multi != NULL)
		curl_multi_cleanup(pool->multi);
	pool->multi = NULL;
}

static bool
set_up(BmwHttpPool *pool)
{
	pool->multi = curl_multi_init();
	if (pool->multi == NULL)
		return false;
	curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, bmw_http_connection_want);
	curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
	/* beyond it, an idle connection makes room for a new one */
	curl_multi_setopt(pool->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
					  (long) pool->http->config.max_connections);
	resolve_apart(pool);
	limit_idle(pool);
	return true;
}

/*
 * A thread for each name, as before libcurl 8.20, so that names which take long delay nobody else's, and
 * nobody waits for them at the end (for older ones: CURLOPT_QUICK_EXIT).
 */
static void
resolve_apart(const BmwHttpPool *pool)
{
#if LIBCURL_VERSION_NUM >= 0x081400
	curl_multi_setopt(pool->multi, CURLMOPT_QUICK_EXIT, 1L);
	curl_multi_setopt(pool->multi, CURLMOPT_RESOLVE_THREADS_MAX,
					  (long) pool->http->config.max_connections);
#else
	(void) pool;
#endif
}

/* FNV-1a, up to the path. */
static uint64_t
hash_of_host(const char *url)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	int slashes = 0;

	for (const char *c = url; *c != '\0'; c++)
	{
		if (*c == '/' && ++slashes == 3)
			break;
		hash = (hash ^ (uint8_t) *c) * UINT64_C(0x100000001b3);
	}
	return hash ^ (hash >> 32);
}

/*
 * libcurl counts those in use as well, and closes an idle one when another becomes idle.
 * As long as there is room for more none is closed; and none of the pools can take all of it.
 */
static void
limit_idle(const BmwHttpPool *pool)
{
	const BmwHttp *http = pool->http;
	const BmwHttpConfig *config = &http->config;
	const int at_least = pool->running + config->max_idle / http->pools_length;
	int kept = pool->open + http->running + config->max_idle - http->open;

	if (kept < at_least)
		kept = at_least;
	if (kept > config->max_connections)
		kept = config->max_connections;
	curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long) (kept > 0 ? kept : 1));
}

static int64_t
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}
