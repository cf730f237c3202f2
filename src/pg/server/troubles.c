/*
 * pg/server/troubles.c - what keeps the dispatchers of a database from working, and what the server's log was told of it.
 *
 * What fails is counted in the slot of each dispatcher, what was told is in the first of the database.
 */
#include "postgres.h"

#include "pg/server/troubles.h"

#include "storage/spin.h"

#define SETTLED_MS                                                                                 \
	60000 /* so long a new dispatcher must have worked, as what failed may not have been tried */
#define FORGOTTEN_MS                                                                               \
	3600000 /* work that failed may never be tried again, as it was for something that is gone */

static BmwTroubles *of_database(BmwSlot *slot, BmwSlot **first);
static bool is_told(const BmwTroubles *told, int sqlstate);
static int failing(Oid database);

bool
bmw_troubles_note(BmwSlot *slot, bool is_first, int sqlstate)
{
	TimestampTz now = GetCurrentTimestamp();
	BmwSlot *first;
	BmwTroubles *told = of_database(slot, &first);
	bool is_new = false;

	if (is_first)
		pg_atomic_fetch_add_u32(&slot->failing, 1);
	SpinLockAcquire(&first->mutex);
	if (is_first && !is_told(told, sqlstate))
	{
		is_new = true;
		told->sqlstates[told->length % BMW_MAX_TOLD] = sqlstate;
		told->length++;
	}
	told->failed_at = now;
	SpinLockRelease(&first->mutex);
	return is_new;
}

bool
bmw_troubles_done(BmwSlot *slot, bool has_failed)
{
	BmwSlot *first;
	BmwTroubles *told = of_database(slot, &first);
	TimestampTz now;
	bool is_over;

	if (has_failed)
		pg_atomic_fetch_sub_u32(&slot->failing, 1);
	if (told->length == 0)
		return false;
	now = GetCurrentTimestamp();
	is_over = failing(slot->database) == 0 &&
			  (has_failed || TimestampDifferenceExceeds(slot->since, now, SETTLED_MS));
	SpinLockAcquire(&first->mutex);
	is_over |= TimestampDifferenceExceeds(told->failed_at, now, FORGOTTEN_MS);
	is_over &= told->length > 0;
	if (is_over)
		told->length = 0;
	SpinLockRelease(&first->mutex);
	return is_over;
}

void
bmw_troubles_leave(BmwSlot *slot)
{
	pg_atomic_write_u32(&slot->failing, 0);
}

static BmwTroubles *
of_database(BmwSlot *slot, BmwSlot **first)
{
	*first = bmw_shmem_first(slot->database);
	if (*first == NULL)
		*first = slot;
	return &(*first)->troubles;
}

static bool
is_told(const BmwTroubles *told, int sqlstate)
{
	for (int i = 0; i < Min(told->length, BMW_MAX_TOLD); i++)
		if (told->sqlstates[i] == sqlstate)
			return true;
	return false;
}

/* Kinds of work, of all dispatchers of the database. */
static int
failing(Oid database)
{
	int sum = 0;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (bmw_shared->slots[i].database == database)
			sum += (int) pg_atomic_read_u32(&bmw_shared->slots[i].failing);
	return sum;
}
