/*
 * pg/server/shared_tokens.c - the rate limits of applications, counted for all dispatchers of the server.
 *
 * A bucket is found by a hash of the database and the application's name. Should two
 * have the same one they share a bucket, and none of them gets more than its limit.
 */
#include "postgres.h"

#include "pg/server/shared_tokens.h"

#include "common/hashfn.h"
#include "storage/spin.h"

static int64_t take(void *context, const char *application, int rate, int burst, int64_t now_us);

BmwTokenPort
bmw_shared_tokens(BmwSlot *slot)
{
	return (BmwTokenPort){.take = take, .context = slot};
}

static int64_t
take(void *context, const char *application, int rate, int burst, int64_t now_us)
{
	const BmwSlot *slot = context;
	uint64 key = hash_bytes_extended((const unsigned char *) application, (int) strlen(application),
									 slot->database) |
				 1;
	BmwTokenRequest request = {.key = key,
							   .by = slot->shard,
							   .rate = rate,
							   .burst = burst,
							   .now_us = now_us};
	BmwSharedTokens *tokens = &bmw_shared->tokens[(key >> 1) % BMW_TOKEN_SETS];
	int64_t again_us;

	SpinLockAcquire(&tokens->mutex);
	again_us = bmw_tokens_take(&tokens->set, &request);
	SpinLockRelease(&tokens->mutex);
	return again_us;
}
