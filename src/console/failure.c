/*
 * console/failure.c - how often a sign-in has failed, by user and address.
 *
 * A table of fixed size: when it is full of others, the oldest of them makes room.
 */
#include "console/failure.h"

#include <stdio.h>
#include <string.h>

#define MOST_FAILURES 5
#define PERIOD_S 60

typedef struct Failure
{
	char key[160];
	int count;
	time_t since;
} Failure;

static Failure failures[1024];

static Failure *
find(const char *user, const char *address, bool make)
{
	char key[sizeof(failures[0].key)];
	Failure *oldest = &failures[0];

	snprintf(key, sizeof(key), "%s %s", address, user);
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
	{
		if (failures[i].count > 0 && strcmp(failures[i].key, key) == 0)
			return &failures[i];
		if (failures[i].since < oldest->since)
			oldest = &failures[i];
	}
	if (!make)
		return NULL;
	*oldest = (Failure){.since = time(NULL)};
	memcpy(oldest->key, key, sizeof(key));
	return oldest;
}

bool
bmw_failure_is_barred(const char *user, const char *address)
{
	const Failure *failure = find(user, address, false);

	return failure != NULL && failure->count >= MOST_FAILURES;
}

void
bmw_failure_count(const char *user, const char *address)
{
	find(user, address, true)->count++;
}

void
bmw_failure_take_back(const char *user, const char *address)
{
	Failure *failure = find(user, address, false);

	if (failure != NULL)
		failure->count--;
}

void
bmw_failures_tick(time_t now)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		if (failures[i].count > 0 && now - failures[i].since > PERIOD_S)
			failures[i] = (Failure){0};
}
