/*
 * pg/dispatch/full.c - applications of which as much waits as their max_waiting allows.
 *
 * What a session has accepted is to be sent. It may not have heard yet that the application is full:
 * so nothing counts as beyond the limit that was captured soon after that was written. And it
 * may have heard before us that it is full no more: so that is read with a snapshot that is
 * later than the event's commit, for each chunk of events while there are some that are.
 */
#include "postgres.h"

#include "pg/dispatch/full.h"

#include "core/name.h"
#include "core/pattern.h"
#include "pg/dispatch/clock.h"
#include "pg/dispatch/store_pending.h"
#include "utils/memutils.h"

#define SECOND_US INT64CONST(1000000)
#define SESSIONS_US                                                                                \
	(2 * SECOND_US) /* a session looks each second, and then inserts what it has accepted */

typedef struct Application
{
	char name[BMW_NAME_MAX_BYTES + 1]; /* the key */
	int64 since_us;
} Application;

static void add(const char *application, int64 since_us, void *context);

void
bmw_full_refresh(BmwFull *full)
{
	int64 now_us = bmw_clock_us();

	if (full->applications == NULL && full->read_at_us != 0 &&
		now_us < full->read_at_us + SECOND_US)
		return;
	if (full->applications != NULL)
		hash_destroy(full->applications);
	full->applications = NULL;
	bmw_store_full(add, full);
	full->read_at_us = now_us;
}

/* As for emit(), not what tells of webhooks themselves. */
bool
bmw_full_has(const BmwFull *full, const BmwRouteEvent *event)
{
	const Application *entry;

	if (full->applications == NULL || event->application == NULL ||
		bmw_event_type_is_operational(event->type))
		return false;
	entry = hash_search(full->applications, event->application, HASH_FIND, NULL);
	return entry != NULL && event->created_us > entry->since_us + SESSIONS_US;
}

static void
add(const char *application, int64 since_us, void *context)
{
	BmwFull *full = context;
	HASHCTL control = {.keysize = BMW_NAME_MAX_BYTES + 1,
					   .entrysize = sizeof(Application),
					   .hcxt = TopMemoryContext};
	Application *entry;

	if (full->applications == NULL)
		full->applications =
			hash_create("bm_webhook full", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	entry = hash_search(full->applications, application, HASH_ENTER, NULL);
	entry->since_us = since_us;
}
