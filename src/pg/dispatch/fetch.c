/*
 * pg/dispatch/fetch.c - the clerk of a dispatcher who fetches what waits in the table.
 *
 * First the rows of deliveries, then the events of those that the scheduler
 * wants; an event's data is only read when its bytes fit.
 */
#include "postgres.h"

#include "pg/dispatch/fetch.h"

#include "pg/dispatch/clock.h"
#include "pg/dispatch/endpoint.h"
#include "pg/dispatch/store.h"
#include "pg/dispatch/transaction.h"

#define LEARN_AT_ONCE 500		   /* endpoints */
#define LEARN_US INT64CONST(50000) /* of a cycle */
#define FETCH_US INT64CONST(3000)  /* of a cycle: nothing is sent meanwhile */

/* One fetch. */
typedef struct Fetching
{
	BmwScheduler *scheduler;
	BmwFetch fetch;
	BmwDueRow *rows; /* that are wanted */
	BmwUuid *ids;	 /* of these */
	bool *is_found;	 /* their event is there */
	int length;
	int last; /* that was found */
} Fetching;

typedef struct Looking
{
	BmwFetcher *fetcher;
	int64 last_id; /* of the endpoints that were found */
} Looking;

static void hear(BmwFetcher *fetcher);
static void look(BmwFetcher *fetcher);
static void expect(int64 endpoint_id, int64 due_us, bool has_held, void *context);
static void learn(BmwScheduler *scheduler);
static void learn_one(int64 endpoint_id, const BmwUuid *event_id, const char *application,
					  const char *message_id, void *context);
static void fetch_one(Fetching *fetching);
static void offer(const BmwDueRow *row, void *context);
static bool fits(const BmwUuid *event_id, int64 size, void *context);
static void load(const BmwEventRow *event, void *context);
static void cancel_lost(Fetching *fetching);
static int find(Fetching *fetching, const BmwUuid *event_id);

void
bmw_fetch_init(BmwFetcher *fetcher, BmwScheduler *scheduler, BmwSlot *slot,
			   bool (*is_ours)(int64 endpoint_id, void *context), void *context)
{
	*fetcher =
		(BmwFetcher){.scheduler = scheduler, .slot = slot, .is_ours = is_ours, .context = context};
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
	int64 start_us;

	hear(fetcher);
	if (bmw_scheduler_wants_look(fetcher->scheduler))
		look(fetcher);
	learn(fetcher->scheduler);
	start_us = bmw_clock_us();
	while (bmw_clock_us() - start_us < FETCH_US &&
		   bmw_scheduler_next_fetch(fetcher->scheduler, &fetching.fetch))
		fetch_one(&fetching);
}

/* What SQL has made due: it is visible when it is announced. */
static void
hear(BmwFetcher *fetcher)
{
	int64 endpoints[BMW_MAX_DUE];
	bool is_due = pg_atomic_exchange_u32(&fetcher->slot->has_due, 0) != 0;
	int length = bmw_shmem_take_due(fetcher->slot, endpoints);

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
	int found = bmw_store_waiting(step.after_id, step.limit, step.with_held, expect, &looking);

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

/* Many endpoints with each statement; what is left after a while, after other work of the cycle. */
static void
learn(BmwScheduler *scheduler)
{
	const int64 start_us = bmw_clock_us();
	int64 ids[LEARN_AT_ONCE];
	int length;

	while ((length = bmw_scheduler_next_unlearnt(scheduler, ids, LEARN_AT_ONCE)) > 0 &&
		   bmw_clock_us() - start_us < LEARN_US)
	{
		bmw_store_unfinished(ids, length, learn_one, scheduler);
		for (int i = 0; i < length; i++)
			bmw_scheduler_learnt(scheduler, ids[i]);
	}
}

static void
learn_one(int64 endpoint_id, const BmwUuid *event_id, const char *application,
		  const char *message_id, void *context)
{
	bmw_transaction_require_memory(
		bmw_scheduler_learn(context, endpoint_id, application, message_id, event_id) == BMW_OK);
}

static void
fetch_one(Fetching *fetching)
{
	const BmwFetch *fetch = &fetching->fetch;
	const int64 start_us = bmw_clock_us();
	int64 next_due_us = PG_INT64_MAX;
	int rows;

	fetching->length = fetching->last = 0;
	fetching->rows = palloc(sizeof(*fetching->rows) * fetch->limit);
	fetching->ids = palloc(sizeof(*fetching->ids) * fetch->limit);
	fetching->is_found = palloc0(sizeof(*fetching->is_found) * fetch->limit);
	if (fetch->heads != NULL)
		rows =
			bmw_store_rows(fetch->endpoint_id, fetch->heads, fetch->heads_length, offer, fetching);
	else
		rows = bmw_store_due(fetch->endpoint_id, fetch->from_us, fetch->to_us, fetch->limit, offer,
							 fetching);
	if (fetching->length > 0)
	{
		bmw_store_bodies(fetching->ids, fetching->length, fits, load, fetching);
		cancel_lost(fetching);
	}
	if (fetch->heads == NULL && rows < fetch->limit)
		next_due_us = bmw_store_next_due(fetch->endpoint_id, fetch->to_us);
	bmw_scheduler_end_fetch(fetching->scheduler, fetch, rows, next_due_us);
	bmw_scheduler_fetch_took(fetching->scheduler, rows, bmw_clock_us() - start_us);
	pfree(fetching->rows);
	pfree(fetching->ids);
	pfree(fetching->is_found);
}

static void
offer(const BmwDueRow *row, void *context)
{
	Fetching *fetching = context;

	if (!bmw_scheduler_offer(fetching->scheduler, &fetching->fetch, row))
		return;
	fetching->ids[fetching->length] = row->event_id;
	fetching->rows[fetching->length++] = *row;
}

static bool
fits(const BmwUuid *event_id, int64 size, void *context)
{
	Fetching *fetching = context;
	int i = find(fetching, event_id);

	fetching->is_found[i] = true;
	return bmw_scheduler_has_room(fetching->scheduler, &fetching->fetch, &fetching->rows[i], size);
}

static void
load(const BmwEventRow *event, void *context)
{
	Fetching *fetching = context;
	const BmwEndpoint *endpoint = fetching->fetch.endpoint;
	const BmwDueRow *row = &fetching->rows[find(fetching, &event->source.id)];

	bmw_transaction_require_memory(
		bmw_scheduler_load(fetching->scheduler, &fetching->fetch, row, &event->source,
						   bmw_route_fits(&endpoint->owner, &event->route)) == BMW_OK);
}

/* Their partition was dropped while they waited. */
static void
cancel_lost(Fetching *fetching)
{
	for (int i = 0; i < fetching->length; i++)
		if (!fetching->is_found[i])
			bmw_transaction_require_memory(bmw_scheduler_load(fetching->scheduler, &fetching->fetch,
															  &fetching->rows[i], NULL,
															  false) == BMW_OK);
}

/* Events come in the order in which they were asked for, nearly always: from the last one on, around. */
static int
find(Fetching *fetching, const BmwUuid *event_id)
{
	for (int n = 0; n < fetching->length; n++)
	{
		int i = (fetching->last + n) % fetching->length;

		if (memcmp(&fetching->ids[i], event_id, sizeof(*event_id)) == 0)
			return fetching->last = i;
	}
	pg_unreachable();
}
