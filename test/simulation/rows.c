/*
 * rows.c - the rows of deliveries, and what is pending of each endpoint.
 */
#include <stdlib.h>
#include <string.h>

#include "tables.h"
#include "trace.h"

static Pair pairs[MAX_EVENTS * MAX_ENDPOINTS];
static int used;
static int pending[MAX_ENDPOINTS][MAX_EVENTS];
static int pending_length[MAX_ENDPOINTS];
static int sorted_for;

static void set_pending(int event, int endpoint, bool is_pending);
static int by_due(const void *a, const void *b);

Pair *
pair_of(int event, int endpoint)
{
	if (event >= used)
		used = event + 1;
	return &pairs[event * MAX_ENDPOINTS + endpoint];
}

void
row_write(int event, int endpoint, const Row *row)
{
	Pair *pair = pair_of(event, endpoint);

	wal_note_row(event, endpoint);
	pair->row = *row;
	pair->row.lsn = wal_end() + 1;
	set_pending(event, endpoint, row->status == ROW_PENDING);
}

void
row_restore(int event, int endpoint, const Row *row)
{
	pair_of(event, endpoint)->row = *row;
	set_pending(event, endpoint, row->status == ROW_PENDING);
}

int
rows_due(int endpoint, int64_t from, int64_t to, int limit, int *events)
{
	int length = 0;

	for (int i = 0; i < pending_length[endpoint]; i++)
	{
		const Row *row = &pair_of(pending[endpoint][i], endpoint)->row;

		if (row->due >= from && row->due <= to && row->aside == ROW_NONE)
			events[length++] = pending[endpoint][i];
	}
	sorted_for = endpoint;
	qsort(events, (size_t) length, sizeof(*events), by_due);
	return length < limit ? length : limit;
}

int64_t
rows_next_due(int endpoint, int64_t after)
{
	int64_t next = INT64_MAX;

	for (int i = 0; i < pending_length[endpoint]; i++)
	{
		const Row *row = &pair_of(pending[endpoint][i], endpoint)->row;

		if (row->due > after && row->due < next)
			next = row->due;
	}
	return next;
}

bool
rows_are_held(int endpoint)
{
	for (int i = 0; i < pending_length[endpoint]; i++)
		if (pair_of(pending[endpoint][i], endpoint)->row.due == BMW_HELD_BACK)
			return true;
	return false;
}

int
rows_pending(int endpoint, const int **events)
{
	*events = pending[endpoint];
	return pending_length[endpoint];
}

void
rows_begin(void)
{
	memset(pairs, 0, sizeof(Pair) * (size_t) used * MAX_ENDPOINTS);
	memset(pending_length, 0, sizeof(pending_length));
	used = 0;
}

static void
set_pending(int event, int endpoint, bool is_pending)
{
	Pair *pair = pair_of(event, endpoint);
	int *list = pending[endpoint];

	if (is_pending && pair->place == 0)
	{
		list[pending_length[endpoint]] = event;
		pair->place = ++pending_length[endpoint];
	}
	else if (!is_pending && pair->place != 0)
	{
		int last = list[--pending_length[endpoint]];

		list[pair->place - 1] = last;
		pair_of(last, endpoint)->place = pair->place;
		pair->place = 0;
	}
}

static int
by_due(const void *a, const void *b)
{
	int one = *(const int *) a;
	int other = *(const int *) b;
	int64_t due = pair_of(one, sorted_for)->row.due;
	int64_t other_due = pair_of(other, sorted_for)->row.due;

	if (due != other_due)
		return due < other_due ? -1 : 1;
	return one < other ? -1 : one > other;
}
