/*
 * console/failure.c - how often a sign-in has failed, by user and address, and by address alone.
 *
 * A table of fixed size: when it is full of others, the oldest of them makes room. No address can fill
 * it: its total, an entry without a user, ends its tries long before.
 */
#include "console/failure.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define MOST_OF_USER 5
#define MOST_OF_ADDRESS 30
#define PERIOD_S 60

typedef struct Failure
{
	char key[160];
	int count;
	time_t since;
} Failure;

static Failure failures[1024];

/* Who has one address of IPv6 has all of its network of 64 bits. */
static void
write_key(const char *user, const char *address, char *key, size_t size)
{
	struct in6_addr v6;
	char network[INET6_ADDRSTRLEN];

	if (inet_pton(AF_INET6, address, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6))
	{
		memset(v6.s6_addr + 8, 0, 8);
		address = inet_ntop(AF_INET6, &v6, network, sizeof(network));
	}
	snprintf(key, size, "%s %s", address, user);
}

static Failure *
find(const char *user, const char *address, bool make)
{
	char key[sizeof(failures[0].key)] = "";
	Failure *oldest = &failures[0];

	write_key(user, address, key, sizeof(key));
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

static bool
has_failed(const char *user, const char *address, int most)
{
	const Failure *failure = find(user, address, false);

	return failure != NULL && failure->count >= most;
}

static void
take_back(const char *user, const char *address)
{
	Failure *failure = find(user, address, false);

	if (failure != NULL)
		failure->count--;
}

bool
bmw_failure_is_barred(const char *user, const char *address)
{
	return has_failed(user, address, MOST_OF_USER) || has_failed("", address, MOST_OF_ADDRESS);
}

void
bmw_failure_count(const char *user, const char *address)
{
	find(user, address, true)->count++;
	find("", address, true)->count++;
}

void
bmw_failure_take_back(const char *user, const char *address)
{
	take_back(user, address);
	take_back("", address);
}

void
bmw_failures_tick(time_t now)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		if (failures[i].count > 0 && now - failures[i].since > PERIOD_S)
			failures[i] = (Failure){0};
}
