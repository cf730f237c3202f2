/*
 * pg/dispatch/verify.h - the clerk of a dispatcher who asks endpoints for a proof (core/challenge.h).
 *
 * A challenge is a request like any other, but for no event of the log: its value is in no table, so only who
 * gets the request can answer.
 */
#ifndef BMW_PG_DISPATCH_VERIFY_H
#define BMW_PG_DISPATCH_VERIFY_H

#include "postgres.h"

#include "core/challenge.h"
#include "core/event.h"
#include "core/http.h"
#include "pg/dispatch/transaction.h"

/* A challenge under way, or answered. */
typedef struct BmwAsked
{
	BmwChallenge challenge;
	char value[BMW_CHALLENGE_SIZE];
	BmwEvent *event; /* NULL: this place is free */
	bool has_ended;
	char error[BMW_HTTP_ERROR_SIZE]; /* '': the value came back */
} BmwAsked;

typedef struct BmwVerifier
{
	BmwScheduler *scheduler;
	BmwSlot *slot;
	BmwUuidState ids;
	BmwAsked asked[BMW_CHALLENGES_MAX];
	int ended_length;
	BmwStreak streak;
	bool has_extension;
} BmwVerifier;

extern void bmw_verify_init(BmwVerifier *verifier, BmwScheduler *scheduler, BmwSlot *slot);
/* The next challenge that is to be sent; it is the tag of its request. NULL: there is none. */
extern BmwAsked *bmw_verify_next(BmwVerifier *verifier, int64 now_us);
/* Is this the tag of a challenge? */
extern bool bmw_verify_is_ours(const BmwVerifier *verifier, const void *tag);
extern void bmw_verify_not_started(BmwVerifier *verifier, BmwAsked *asked);
extern void bmw_verify_take(BmwVerifier *verifier, const BmwHttpResult *result);
/* Writes what has been answered, in a transaction, and tells the scheduler. */
extern void bmw_verify_write(BmwVerifier *verifier);

#endif
