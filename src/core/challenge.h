/*
 * core/challenge.h - does an endpoint answer for its URL? What it is asked, and when.
 *
 * Until an endpoint has proved that it is meant to get webhooks, everything for it waits, as if it were
 * paused. It is sent a challenge alone: a value that it has to give back. The value is the caller's, made
 * anew for each challenge and in no table, so only who gets the request knows it.
 */
#ifndef BMW_CORE_CHALLENGE_H
#define BMW_CORE_CHALLENGE_H

#include "core/scheduler.h"

#define BMW_CHALLENGES_MAX 32 /* under way at a time */
#define BMW_CHALLENGE_SIZE 65 /* of a value at most, with the final 0: letters and digits */

typedef struct BmwChallenge
{
	int64_t endpoint_id;
	void *endpoint;		   /* the tag of its rules */
	int64_t unverified_us; /* which of its states this is for */
	int attempt;		   /* from 1 */
	BmwParty *party;	   /* whose place at its destination it has; NULL: none */
} BmwChallenge;

/* The next that is to be sent; it is under way from then on. False: there is none. */
extern bool bmw_challenge_next(BmwScheduler *scheduler, BmwChallenge *challenge);
/* It is about to go there (address.h). False: it may not now. */
extern bool bmw_challenge_enter(BmwScheduler *scheduler, BmwChallenge *challenge,
								uint64_t destination);
/* Nobody was asked: it is tried again in a moment. */
extern void bmw_challenge_put_off(BmwScheduler *scheduler, const BmwChallenge *challenge);
/* is_proved: and its row says so. Otherwise it is asked again, later and later, for a day. */
extern void bmw_challenge_ended(BmwScheduler *scheduler, const BmwChallenge *challenge,
								bool is_proved);
/* Is the answer the value, alone or as {"challenge": "..."}, with white space or without? */
extern bool bmw_challenge_is_met(const char *value, const char *answer, size_t length);

#endif
