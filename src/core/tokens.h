/*
 * core/tokens.h - so many requests a second, exactly, of whatever several processes send together.
 *
 * The token buckets of rate_limit.h in memory that the processes share: sets of a few
 * entries each, of which the caller locks one. A bucket that has been full for a while
 * says nothing, so nobody has to remove it: its entry is taken when one is wanted.
 * When all of a set are in use, whoever comes waits: never is the limit exceeded, unless
 * he says that it may be.
 *
 * Of several that wait for the same bucket each gets a token in turn: whoever is
 * next has a moment to take it before anybody else may.
 */
#ifndef BMW_CORE_TOKENS_H
#define BMW_CORE_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#define BMW_TOKENS_IN_SET 8
#define BMW_TOKENS_MAX_BY 32 /* who may take: 0 to 31 */

typedef struct BmwTokenBucket
{
	uint64_t key;	  /* 0: free */
	int64_t full_us;  /* when it is full again */
	uint32_t waiting; /* a bit for each that was refused and has not come again */
	uint32_t last;	  /* who took the last one */
} BmwTokenBucket;

/* Zeroed memory is empty. */
typedef struct BmwTokenSet
{
	BmwTokenBucket buckets[BMW_TOKENS_IN_SET];
} BmwTokenSet;

typedef struct BmwTokenRequest
{
	uint64_t key; /* not 0 */
	int by;
	int rate; /* a second, 1 to a million */
	int burst;
	bool may_exceed; /* when no bucket is free: rather than wait for one */
	int64_t now_us;
} BmwTokenRequest;

/* Takes one: 0. Otherwise none was taken, and it is when to ask again. */
extern int64_t bmw_tokens_take(BmwTokenSet *set, const BmwTokenRequest *request);

#endif
