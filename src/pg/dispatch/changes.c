/*
 * pg/dispatch/changes.c - which endpoints are to be read.
 *
 * Nothing is forgotten when a transaction fails: what was noted is in memory
 * before the snapshot moves on, and leaves it when it has been read.
 */
#include "postgres.h"

#include "pg/dispatch/changes.h"

#include "nodes/pg_list.h"
#include "pg/dispatch/store.h"
#include "pg/sql/ids.h"
#include "utils/memutils.h"

#define MAX_NOTES 5000		  /* at once; more mean all */
#define FIRST_CAPACITY 256	  /* of ids */
#define CHECK_PAUSE_MS 600000 /* between two checks of all */
#define CHECK_STEP_MS 100	  /* between its steps */
#define FORGET_AT_ONCE 1000

/* The notes that one look has found. */
typedef struct Notes
{
	BmwChanges *changes;
	List *applications;
	bool has_all;
} Notes;

static void want_all(BmwChanges *changes);
static void begin_round(BmwChanges *changes, BmwRound round);
static void collect(const BmwChange *change, void *context);
static int step(BmwChanges *changes, int64 *ids, int room);

void
bmw_changes_init(BmwChanges *changes)
{
	*changes = (BmwChanges){.round = BMW_ROUND_WANTED, .capacity = FIRST_CAPACITY};
	changes->ids = MemoryContextAlloc(TopMemoryContext, sizeof(int64) * FIRST_CAPACITY);
}

bool
bmw_changes_are_left(const BmwChanges *changes)
{
	return changes->length > 0 || changes->round == BMW_ROUND_WANTED ||
		   changes->round == BMW_ROUND_ON;
}

bool
bmw_changes_want_check(const BmwChanges *changes, int64 now_ms)
{
	return (changes->round == BMW_ROUND_NONE || changes->round == BMW_ROUND_CHECK) &&
		   now_ms >= changes->at_ms;
}

void
bmw_changes_look(BmwChanges *changes, BmwApplicationFn fn, void *context)
{
	Notes notes = {.changes = changes, .has_all = changes->known.xmax == 0};
	BmwSnapshot now;
	ListCell *cell;

	if (bmw_store_changes(&changes->known, &now, MAX_NOTES, collect, &notes) >= MAX_NOTES)
		notes.has_all = true;
	if (notes.has_all)
	{
		fn(NULL, context);
		want_all(changes);
		notes.applications = NIL;
	}
	foreach (cell, notes.applications)
		fn(lfirst(cell), context);
	bmw_snapshot_free(&changes->known);
	changes->known = now;
}

void
bmw_changes_check_triggers(BmwChanges *changes)
{
	char *triggers = bmw_store_triggers();

	if (triggers == NULL || (changes->triggers != NULL && strcmp(changes->triggers, triggers) == 0))
		return;
	if (changes->triggers != NULL)
	{
		want_all(changes);
		pfree(changes->triggers);
	}
	changes->triggers = MemoryContextStrdup(TopMemoryContext, triggers);
}

int
bmw_changes_next(BmwChanges *changes, int64 now_ms, int64 *ids)
{
	int length = Min(changes->length, BMW_CHANGES_AT_ONCE);

	changes->taken = length;
	memcpy(ids, changes->ids + changes->length - length, sizeof(int64) * length);
	if (changes->round == BMW_ROUND_WANTED)
		begin_round(changes, BMW_ROUND_ON);
	if (changes->round == BMW_ROUND_NONE && now_ms >= changes->at_ms)
		begin_round(changes, BMW_ROUND_CHECK);
	changes->is_step = length < BMW_CHANGES_AT_ONCE &&
					   (changes->round == BMW_ROUND_ON ||
						(changes->round == BMW_ROUND_CHECK && now_ms >= changes->at_ms));
	if (changes->is_step)
		length += step(changes, ids + length, BMW_CHANGES_AT_ONCE - length);
	return bmw_ids_sort_once(ids, length);
}

void
bmw_changes_read(BmwChanges *changes, int64 now_ms)
{
	changes->length -= changes->taken;
	changes->taken = 0;
	if (!changes->is_step)
		return;
	changes->after_id = changes->step_id;
	changes->at_ms = now_ms + CHECK_STEP_MS;
	if (!changes->is_last_step)
		return;
	changes->at_ms = now_ms + CHECK_PAUSE_MS;
	changes->round = changes->again ? BMW_ROUND_WANTED : BMW_ROUND_NONE;
	changes->ended = changes->number;
}

void
bmw_changes_add(BmwChanges *changes, int64 endpoint_id)
{
	if (changes->length == changes->capacity)
	{
		changes->ids = repalloc_huge(changes->ids, sizeof(int64) * (Size) changes->capacity * 2);
		changes->capacity *= 2;
	}
	changes->ids[changes->length++] = endpoint_id;
}

void
bmw_changes_add_application(BmwChanges *changes, const char *application)
{
	int64 *ids = palloc(sizeof(*ids) * MAX_NOTES);
	int length = bmw_store_endpoint_ids_of(application, MAX_NOTES, ids);

	if (length == MAX_NOTES)
		want_all(changes);
	else
		for (int i = 0; i < length; i++)
			bmw_changes_add(changes, ids[i]);
	pfree(ids);
}

bool
bmw_changes_forget(BmwChanges *changes)
{
	return bmw_store_forget_changes(&changes->forgotten, FORGET_AT_ONCE);
}

void
bmw_changes_add_all(BmwChanges *changes)
{
	want_all(changes);
}

/* A round that goes on has perhaps been where something changed just now. */
static void
want_all(BmwChanges *changes)
{
	if (changes->round == BMW_ROUND_ON)
		changes->again = true;
	else
		changes->round = BMW_ROUND_WANTED;
}

static void
begin_round(BmwChanges *changes, BmwRound round)
{
	changes->round = round;
	changes->again = false;
	changes->after_id = PG_INT64_MIN;
	changes->number++;
}

static void
collect(const BmwChange *change, void *context)
{
	Notes *notes = context;

	if (change->is_endpoint)
		bmw_changes_add(notes->changes, change->endpoint_id);
	else if (change->application != NULL)
		notes->applications = lappend(notes->applications, pstrdup(change->application));
	else
		notes->has_all = true;
}

/* The next ids of the round. */
static int
step(BmwChanges *changes, int64 *ids, int room)
{
	int length = bmw_store_endpoint_ids(changes->after_id, room, ids);

	changes->is_last_step = length < room;
	changes->step_id = length > 0 ? ids[length - 1] : changes->after_id;
	return length;
}
