/*
 * pg/server/shared_tokens.c - the rate limits of applications, counted for all processes of the server.
 *
 * A bucket is found by a hash of the database and the application's name. Should two
 * have the same one they share a bucket, and none of them gets more than its limit.
 */
#include "postgres.h"

#include "pg/server/shared_tokens.h"

#include "common/hashfn.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

static int64_t take(void *context, const char *application, int rate, int burst, int64_t now_us);
static int64_t take_from(BmwSharedTokens *sets, const BmwTokenRequest *request);

BmwTokenPort
bmw_shared_tokens(BmwSlot *slot)
{
	return (BmwTokenPort){.take = take, .context = slot};
}

uint64
bmw_shared_tokens_key(Oid database, const char *application)
{
	return hash_bytes_extended((const unsigned char *) application, (int) strlen(application),
							   database) |
		   1;
}

uint64
bmw_shared_tokens_key_of_role(Oid database, Oid role)
{
	return hash_bytes_extended((const unsigned char *) &role, sizeof(role), database) | 1;
}

bool
bmw_shared_tokens_take_emit(uint64 key, int rate)
{
	BmwTokenRequest request = {.key = key,
							   .rate = rate,
							   .burst = rate,
							   .may_exceed = true,
							   .now_us = GetCurrentTimestamp()};

	return take_from(bmw_shared->emit_tokens, &request) == 0;
}

static int64_t
take(void *context, const char *application, int rate, int burst, int64_t now_us)
{
	const BmwSlot *slot = context;
	BmwTokenRequest request = {.key = bmw_shared_tokens_key(slot->database, application),
							   .by = slot->shard,
							   .rate = rate,
							   .burst = burst,
							   .now_us = now_us};

	return take_from(bmw_shared->tokens, &request);
}

static int64_t
take_from(BmwSharedTokens *sets, const BmwTokenRequest *request)
{
	BmwSharedTokens *tokens = &sets[(request->key >> 1) % BMW_TOKEN_SETS];
	int64_t again_us;

	SpinLockAcquire(&tokens->mutex);
	again_us = bmw_tokens_take(&tokens->set, request);
	SpinLockRelease(&tokens->mutex);
	return again_us;
}
