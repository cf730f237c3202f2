/*
 * pg/dispatch/fetch.c - the clerk of a dispatcher who fetches what waits in the table.
 *
 * First the rows of deliveries, then the events of those that the scheduler
 * wants; an event's data is only read when its bytes fit. One statement is for
 * many endpoints, but not for more than can be read in about two milliseconds.
 */
#include "postgres.h"

#include "pg/dispatch/fetch.h"

#include "core/batch.h"
#include "pg/dispatch/clock.h"
#include "pg/dispatch/endpoint.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"

#define LEARN_AT_ONCE 500 /* endpoints */
#define LEAST_ROWS 100

/* A delivery whose event is to be read. */
typedef struct Wanted
{
	BmwFetch *fetch;
	BmwDueRow row;
	bool is_found; /* its event is there */
} Wanted;

/* Some fetches at once. */
typedef struct Fetching
{
	BmwScheduler *scheduler;
	BmwFetch fetches[BMW_FETCHES];
	int64 next_due_us[BMW_FETCHES];
	int rows[BMW_FETCHES]; /* that were found */
	int length;
	Wanted *wanted;
	int wanted_length;
} Fetching;

typedef struct Looking
{
	BmwFetcher *fetcher;
	int64 last_id; /* of the endpoints that were found */
} Looking;

static void hear(BmwFetcher *fetcher);
static void look(BmwFetcher *fetcher);
static void expect(int64 endpoint_id, int64 due_us, bool has_held, void *context);
static void learn(BmwFetcher *fetcher);
static void learn_one(int64 endpoint_id, const BmwUuid *event_id, const char *application,
					  const char *message_id, void *context);
static void fetch_heads(BmwFetcher *fetcher, Fetching *fetching);
static void fetch_due(BmwFetcher *fetcher, Fetching *fetching);
static void begin(Fetching *fetching);
static int end(Fetching *fetching);
static void offer(int fetch, const BmwDueRow *row, void *context);
static void load_wanted(Fetching *fetching);
static bool fits(int at, int64 size, void *context);
static void load(int at, const BmwEventRow *event, void *context);

void
bmw_fetch_init(BmwFetcher *fetcher, BmwScheduler *scheduler, BmwSlot *slot,
			   bool (*is_ours)(int64 endpoint_id, void *context), void *context)
{
	*fetcher = (BmwFetcher){.scheduler = scheduler,
							.slot = slot,
							.is_ours = is_ours,
							.context = context,
							.lanes = 1,
							.rows = LEAST_ROWS,
							.learn = 1};
}

bool
bmw_fetch_wants(BmwFetcher *fetcher)
{
	hear(fetcher);
	return bmw_scheduler_wants_rows(fetcher->scheduler);
}

void
bmw_fetch_run(BmwFetcher *fetcher)
{
	Fetching fetching = {.scheduler = fetcher->scheduler};

	hear(fetcher);
	if (bmw_scheduler_wants_look(fetcher->scheduler))
		look(fetcher);
	learn(fetcher);
	fetch_heads(fetcher, &fetching);
	fetch_due(fetcher, &fetching);
}

/* What SQL has made due: it is visible when it is announced. */
static void
hear(BmwFetcher *fetcher)
{
	int64 endpoints[BMW_MAX_DUE];
	bool is_due = pg_atomic_exchange_u32(&fetcher->slot->has_due, 0) != 0;
	int length = bmw_shmem_take_due(fetcher->slot, endpoints);

	if (is_due || length > 0)
		bmw_store_forget_oldest();
	if (is_due)
		bmw_scheduler_rows_are_due(fetcher->scheduler);
	for (int i = 0; i < length; i++)
		if (fetcher->is_ours(endpoints[i], fetcher->context))
			bmw_scheduler_rows_are_due_for(fetcher->scheduler, endpoints[i]);
}

/* A step of it. */
static void
look(BmwFetcher *fetcher)
{
	Looking looking = {.fetcher = fetcher};
	BmwLook step = bmw_scheduler_begin_look(fetcher->scheduler);
	int64 start_us = bmw_clock_us();
	int found;

	if (step.after_id == PG_INT64_MIN)
		bmw_store_find_oldest(step.with_held);
	found = bmw_store_waiting(step.after_id, step.limit, step.with_held, expect, &looking);
	bmw_scheduler_end_look(fetcher->scheduler, &step, found, looking.last_id,
						   bmw_clock_us() - start_us);
}

static void
expect(int64 endpoint_id, int64 due_us, bool has_held, void *context)
{
	Looking *looking = context;
	BmwFetcher *fetcher = looking->fetcher;

	looking->last_id = endpoint_id;
	if (!fetcher->is_ours(endpoint_id, fetcher->context))
		return;
	if (due_us != BMW_HELD_BACK)
		bmw_scheduler_expect(fetcher->scheduler, endpoint_id, due_us);
	if (has_held)
		bmw_scheduler_expect(fetcher->scheduler, endpoint_id, BMW_HELD_BACK);
}

/* Many endpoints with one statement; what is left, after other work of the cycle. */
static void
learn(BmwFetcher *fetcher)
{
	const int64 start_us = bmw_clock_us();
	int64 ids[LEARN_AT_ONCE];
	int length = bmw_scheduler_next_unlearnt(fetcher->scheduler, ids, fetcher->learn);

	if (length == 0)
		return;
	bmw_store_unfinished(ids, length, learn_one, fetcher->scheduler);
	for (int i = 0; i < length; i++)
		bmw_scheduler_learnt(fetcher->scheduler, ids[i]);
	fetcher->learn =
		bmw_batch_next(fetcher->learn, length, bmw_clock_us() - start_us, 1, LEARN_AT_ONCE);
}

static void
learn_one(int64 endpoint_id, const BmwUuid *event_id, const char *application,
		  const char *message_id, void *context)
{
	bmw_transaction_require_memory(
		bmw_scheduler_learn(context, endpoint_id, application, message_id, event_id) == BMW_OK);
}

static void
fetch_heads(BmwFetcher *fetcher, Fetching *fetching)
{
	const int64 start_us = bmw_clock_us();
	int rows;

	fetching->length =
		bmw_scheduler_next_heads(fetcher->scheduler, fetcher->rows, fetching->fetches, BMW_FETCHES);
	if (fetching->length == 0)
		return;
	begin(fetching);
	bmw_store_heads(fetching->fetches, fetching->length, offer, fetching);
	rows = end(fetching);
	fetcher->rows = bmw_batch_next(fetcher->rows, rows, bmw_clock_us() - start_us, LEAST_ROWS,
								   BMW_FETCH_LENGTH);
}

static void
fetch_due(BmwFetcher *fetcher, Fetching *fetching)
{
	const int64 start_us = bmw_clock_us();
	int64 took_us;
	int rows;

	fetching->length = bmw_scheduler_next_due(fetcher->scheduler, fetcher->rows, fetching->fetches,
											  fetcher->lanes);
	if (fetching->length == 0)
		return;
	begin(fetching);
	bmw_store_due(fetching->fetches, fetching->length, fetching->next_due_us, offer, fetching);
	rows = end(fetching);
	took_us = bmw_clock_us() - start_us;
	fetcher->lanes = bmw_batch_next(fetcher->lanes, fetching->length, took_us, 1, BMW_FETCHES);
	fetcher->rows = bmw_batch_next(fetcher->rows, rows, took_us, LEAST_ROWS, BMW_FETCH_LENGTH);
}

static void
begin(Fetching *fetching)
{
	int most = 0;

	for (int i = 0; i < fetching->length; i++)
	{
		most += fetching->fetches[i].limit;
		fetching->rows[i] = 0;
	}
	fetching->wanted = palloc(sizeof(*fetching->wanted) * most);
	fetching->wanted_length = 0;
}

/* Returns how many rows were found. */
static int
end(Fetching *fetching)
{
	int rows = 0;

	if (fetching->wanted_length > 0)
		load_wanted(fetching);
	for (int i = 0; i < fetching->length; i++)
	{
		bmw_scheduler_end_fetch(fetching->scheduler, &fetching->fetches[i], fetching->rows[i],
								fetching->next_due_us[i]);
		rows += fetching->rows[i];
	}
	pfree(fetching->wanted);
	return rows;
}

static void
offer(int fetch, const BmwDueRow *row, void *context)
{
	Fetching *fetching = context;
	BmwFetch *of = &fetching->fetches[fetch];

	fetching->rows[fetch]++;
	if (bmw_scheduler_offer(fetching->scheduler, of, row))
		fetching->wanted[fetching->wanted_length++] = (Wanted){.fetch = of, .row = *row};
}

/* The partition of those whose event is not there was dropped while they waited. */
static void
load_wanted(Fetching *fetching)
{
	BmwUuid *ids = palloc(sizeof(*ids) * fetching->wanted_length);

	for (int i = 0; i < fetching->wanted_length; i++)
		ids[i] = fetching->wanted[i].row.event_id;
	bmw_store_bodies(ids, fetching->wanted_length, fits, load, fetching);
	for (int i = 0; i < fetching->wanted_length; i++)
	{
		const Wanted *wanted = &fetching->wanted[i];

		if (!wanted->is_found)
			bmw_transaction_require_memory(bmw_scheduler_load(fetching->scheduler, wanted->fetch,
															  &wanted->row, NULL, false) == BMW_OK);
	}
	pfree(ids);
}

static bool
fits(int at, int64 size, void *context)
{
	Fetching *fetching = context;
	Wanted *wanted = &fetching->wanted[at];

	wanted->is_found = true;
	return bmw_scheduler_has_room(fetching->scheduler, wanted->fetch, &wanted->row, size);
}

static void
load(int at, const BmwEventRow *event, void *context)
{
	Fetching *fetching = context;
	const Wanted *wanted = &fetching->wanted[at];
	const BmwEndpoint *endpoint = wanted->fetch->endpoint;

	bmw_transaction_require_memory(
		bmw_scheduler_load(fetching->scheduler, wanted->fetch, &wanted->row, &event->source,
						   bmw_route_fits(&endpoint->owner, &event->route)) == BMW_OK);
}
