/*
 * pg/dispatch/muted.c - the event types that are not sent for an application.
 */
#include "postgres.h"

#include "pg/dispatch/muted.h"

#include "core/name.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct Application
{
	char name[BMW_NAME_MAX_BYTES + 1]; /* the key */
	char **patterns;
	int length;
} Application;

struct BmwMuted
{
	MemoryContext memory;
	HTAB *applications; /* those that mute something */
};

static void forget(BmwMuted *muted, const char *name);

BmwMuted *
bmw_muted_create(MemoryContext parent)
{
	MemoryContext memory = AllocSetContextCreate(parent, "bm_webhook muted", ALLOCSET_SMALL_SIZES);
	BmwMuted *muted = MemoryContextAlloc(memory, sizeof(*muted));
	HASHCTL control = {.keysize = BMW_NAME_MAX_BYTES + 1,
					   .entrysize = sizeof(Application),
					   .hcxt = memory};

	muted->memory = memory;
	muted->applications =
		hash_create("bm_webhook muted", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	return muted;
}

void
bmw_muted_keep(BmwMuted *muted)
{
	MemoryContextSetParent(muted->memory, TopMemoryContext);
}

void
bmw_muted_destroy(BmwMuted *muted)
{
	if (muted != NULL)
		MemoryContextDelete(muted->memory);
}

/* Without memory in the middle of it, the application's new patterns are read again. */
void
bmw_muted_set(BmwMuted *muted, const char *application, const char **patterns, int length)
{
	MemoryContext caller;
	Application *entry;
	char **copies;

	forget(muted, application);
	if (length == 0)
		return;
	caller = MemoryContextSwitchTo(muted->memory);
	copies = palloc(sizeof(char *) * length);
	for (int i = 0; i < length; i++)
		copies[i] = pstrdup(patterns[i]);
	entry = hash_search(muted->applications, application, HASH_ENTER, NULL);
	entry->patterns = copies;
	entry->length = length;
	MemoryContextSwitchTo(caller);
}

bool
bmw_muted_has(const BmwMuted *muted, const BmwRouteEvent *event)
{
	const Application *entry;

	if (event->application == NULL || hash_get_num_entries(muted->applications) == 0)
		return false;
	entry = hash_search(muted->applications, event->application, HASH_FIND, NULL);
	return entry != NULL &&
		   bmw_route_is_of_type(event, (const char *const *) entry->patterns, entry->length);
}

static void
forget(BmwMuted *muted, const char *name)
{
	Application *entry = hash_search(muted->applications, name, HASH_FIND, NULL);

	if (entry == NULL)
		return;
	for (int i = 0; i < entry->length; i++)
		pfree(entry->patterns[i]);
	pfree(entry->patterns);
	hash_search(muted->applications, name, HASH_REMOVE, NULL);
}
