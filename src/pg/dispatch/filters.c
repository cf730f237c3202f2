/*
 * pg/dispatch/filters.c - the clerk of a dispatcher who knows the filters of endpoints.
 *
 * While a filter is evaluated nothing else goes on. So each has 5 ms (pg/sql/filter.h), and
 * over time a hundredth of the dispatcher's, and all those of an application a tenth: what takes
 * long is not evaluated again before that has been made up for. A filter that takes no longer
 * than a signature does is not counted.
 */
#include "postgres.h"

#include "pg/dispatch/filters.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "pg/dispatch/clock.h"
#include "utils/memutils.h"

#define FIRST_SIZE 64
#define SECOND_US INT64CONST(1000000)
#define TELL_INTERVAL_US (60 * SECOND_US)
#define TELL_AT_ONCE 100
#define LOCK_WAIT "20ms"
#define CHEAP_US 100 /* costs nothing */
#define SHARE 100	 /* so much more time must pass than it took */
#define SHARE_OF_APPLICATION 10
#define CREDIT_US (5 * SECOND_US) /* that it may be ahead of that */

/* It stays when the filters go: they would else be made anew, to be paid for anew. */
typedef struct Application
{
	uint64 hash; /* the key: of the name */
	int64 paid_at_us;
} Application;

typedef struct Filter
{
	int64 endpoint_id; /* the key */
	dlist_node node;   /* among the failing, while it has failures */
	JsonPath *path;
	Application *application; /* NULL: it has none */
	int64 paid_at_us;		  /* when its time has been made up for */
	int64 told_at_us;		  /* 0: never */
	int64 failures;			  /* since then */
	BmwUuid event_id;		  /* of the last of them */
	char error[256];
} Filter;

/* What is told in one transaction. */
typedef struct Telling
{
	Filter *filters[TELL_AT_ONCE];
	int length;
} Telling;

static Application *application_of(BmwFilters *filters, const char *name);
static bool judge(Filter *filter, BmwFiltered *event);
static const char *debt(const Filter *filter, int64 now_us);
static void charge(Filter *filter, int64 now_us, int64 cpu_us);
static void fail(BmwFilters *filters, Filter *filter, const BmwFiltered *event, bool is_first);
static void say(Filter *filter, const char *error);
static int64 due_us(const Filter *filter);
static void find_due(BmwFilters *filters, Telling *telling, int64 now_us);
static void tell(void *context);

void
bmw_filters_init(BmwFilters *filters, BmwSlot *slot)
{
	HASHCTL control = {.keysize = sizeof(int64),
					   .entrysize = sizeof(Filter),
					   .hcxt = TopMemoryContext};
	HASHCTL accounts = {.keysize = sizeof(uint64),
						.entrysize = sizeof(Application),
						.hcxt = TopMemoryContext};

	*filters = (BmwFilters){.slot = slot, .tell_at_us = PG_INT64_MAX, .has_extension = true};
	dlist_init(&filters->failing);
	filters->by_endpoint = hash_create("bm_webhook filters", FIRST_SIZE, &control,
									   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	filters->applications = hash_create("bm_webhook applications with filters", FIRST_SIZE,
										&accounts, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* One that has not changed keeps what it has used up. */
void
bmw_filters_set(BmwFilters *filters, int64 endpoint_id, const char *application,
				const JsonPath *path)
{
	Filter *filter = hash_search(filters->by_endpoint, &endpoint_id, HASH_FIND, NULL);
	Application *owner = path != NULL ? application_of(filters, application) : NULL;
	JsonPath *copy;

	if (filter != NULL && path != NULL && filter->application == owner &&
		VARSIZE(path) == VARSIZE(filter->path) && memcmp(path, filter->path, VARSIZE(path)) == 0)
		return;
	if (filter != NULL)
	{
		if (filter->failures > 0)
			dlist_delete(&filter->node);
		pfree(filter->path);
		hash_search(filters->by_endpoint, &endpoint_id, HASH_REMOVE, NULL);
	}
	if (path == NULL)
		return;
	copy = MemoryContextAlloc(TopMemoryContext, VARSIZE(path));
	memcpy(copy, path, VARSIZE(path));
	filter = hash_search(filters->by_endpoint, &endpoint_id, HASH_ENTER, NULL);
	*filter = (Filter){.endpoint_id = endpoint_id, .path = copy, .application = owner};
}

static Application *
application_of(BmwFilters *filters, const char *name)
{
	uint64 hash;
	Application *application;
	bool is_known;

	if (name == NULL)
		return NULL;
	hash = hash_bytes_extended((const unsigned char *) name, (int) strlen(name), 0);
	application = hash_search(filters->applications, &hash, HASH_ENTER, &is_known);
	if (!is_known)
		application->paid_at_us = 0;
	return application;
}

bool
bmw_filters_exist(const BmwFilters *filters)
{
	return hash_get_num_entries(filters->by_endpoint) > 0;
}

bool
bmw_filters_pass(BmwFilters *filters, int64 endpoint_id, BmwFiltered *event)
{
	Filter *filter = hash_search(filters->by_endpoint, &endpoint_id, HASH_FIND, NULL);
	int64 failures;
	bool passes;

	if (filter == NULL)
		return true;
	failures = filter->failures;
	passes = judge(filter, event);
	if (filter->failures > failures)
		fail(filters, filter, event, failures == 0);
	return passes;
}

void
bmw_filters_tell(BmwFilters *filters)
{
	int64 now_us = bmw_clock_us();
	Telling telling;

	if (now_us < filters->tell_at_us)
		return;
	find_due(filters, &telling, now_us);
	switch (bmw_transaction_run(filters->slot, &filters->streak, tell, &telling))
	{
		case BMW_TRANSACTION_DONE:
			for (int i = 0; i < telling.length; i++)
			{
				telling.filters[i]->told_at_us = now_us;
				telling.filters[i]->failures = 0;
				dlist_delete(&telling.filters[i]->node);
			}
			return;
		case BMW_TRANSACTION_NO_EXTENSION:
			filters->has_extension = false;
			break;
		case BMW_TRANSACTION_FAILED:
			break;
	}
	filters->tell_at_us = now_us + SECOND_US;
}

int64
bmw_filters_wait_us(const BmwFilters *filters)
{
	return filters->tell_at_us == PG_INT64_MAX ? PG_INT64_MAX / 2
											   : filters->tell_at_us - bmw_clock_us();
}

static bool
judge(Filter *filter, BmwFiltered *event)
{
	int64 now_us = bmw_clock_us();
	const char *debts = debt(filter, now_us);
	BmwFilterAnswer answer;

	if (debts != NULL)
	{
		say(filter, debts);
		return false;
	}
	if (!event->is_made)
		event->body = bmw_filter_body(event->source, true);
	event->is_made = true;
	answer = bmw_filter_apply(&event->body, filter->path);
	if (answer.cpu_us > CHEAP_US)
		charge(filter, now_us, answer.cpu_us);
	if (answer.verdict == BMW_FILTER_FAILED)
		say(filter, answer.error);
	return answer.verdict == BMW_FILTER_MATCHES;
}

static const char *
debt(const Filter *filter, int64 now_us)
{
	if (filter->paid_at_us > now_us + CREDIT_US)
		return "it has taken too much time lately";
	if (filter->application != NULL && filter->application->paid_at_us > now_us + CREDIT_US)
		return "the filters of its application have taken too much time lately";
	return NULL;
}

static void
charge(Filter *filter, int64 now_us, int64 cpu_us)
{
	Application *application = filter->application;

	filter->paid_at_us = Max(filter->paid_at_us, now_us) + cpu_us * SHARE;
	if (application != NULL)
		application->paid_at_us =
			Max(application->paid_at_us, now_us) + cpu_us * SHARE_OF_APPLICATION;
}

static void
say(Filter *filter, const char *error)
{
	int length = pg_mbcliplen(error, (int) strlen(error), sizeof(filter->error) - 1);

	memcpy(filter->error, error, length);
	filter->error[length] = '\0';
	filter->failures++;
}

static void
fail(BmwFilters *filters, Filter *filter, const BmwFiltered *event, bool is_first)
{
	if (is_first)
		dlist_push_tail(&filters->failing, &filter->node);
	filter->event_id = event->source->id;
	filters->tell_at_us = Min(filters->tell_at_us, due_us(filter));
}

static int64
due_us(const Filter *filter)
{
	return filter->told_at_us == 0 ? 0 : filter->told_at_us + TELL_INTERVAL_US;
}

/* And when the next is. */
static void
find_due(BmwFilters *filters, Telling *telling, int64 now_us)
{
	dlist_iter iter;

	telling->length = 0;
	filters->tell_at_us = PG_INT64_MAX;
	dlist_foreach (iter, &filters->failing)
	{
		Filter *filter = dlist_container(Filter, node, iter.cur);

		if (due_us(filter) <= now_us && telling->length < TELL_AT_ONCE)
			telling->filters[telling->length++] = filter;
		else
			filters->tell_at_us = Min(filters->tell_at_us, due_us(filter));
	}
}

static void
tell(void *context)
{
	const Telling *telling = context;

	bmw_transaction_limit_lock_wait(LOCK_WAIT);
	for (int i = 0; i < telling->length; i++)
		bmw_store_filter_failed(telling->filters[i]->endpoint_id, &telling->filters[i]->event_id,
								telling->filters[i]->error, telling->filters[i]->failures);
}
