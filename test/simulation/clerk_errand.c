/*
 * clerk_errand.c - the clerk who writes, on his errands: changes of an endpoint's rows.
 */
#include "dispatcher.h"
#include "trace.h"
#include "world.h"

typedef struct Moved
{
	int event;
	int64_t due;
} Moved;

static BmwErrandResult run(Dispatcher *dispatcher, const BmwErrand *errand);
static BmwErrandResult change_endpoint(Dispatcher *dispatcher, const BmwErrand *errand);
static BmwErrandResult change_rows(Dispatcher *dispatcher, const BmwErrand *errand);
static bool is_meant(const BmwErrand *errand, int endpoint, int event, Row *row);

Result
clerk_errands(Dispatcher *dispatcher)
{
	BmwErrand errand;

	while (bmw_scheduler_next_errand(dispatcher->scheduler, &errand))
	{
		if (!dispatcher_pause(dispatcher, 300))
			return RESULT_DIED;
		dispatcher->deeds++;
		world.steps++;
		bmw_scheduler_errand_done(dispatcher->scheduler, &errand, run(dispatcher, &errand));
	}
	return RESULT_DONE;
}

static BmwErrandResult
run(Dispatcher *dispatcher, const BmwErrand *errand)
{
	if (tables.full_until > world.now)
		return BMW_ERRAND_LATER;
	switch (errand->kind)
	{
		case BMW_ERRAND_FAILING:
		case BMW_ERRAND_DISABLE:
			return change_endpoint(dispatcher, errand);
		case BMW_ERRAND_CANCEL:
		case BMW_ERRAND_LET_GO:
		case BMW_ERRAND_CLAMP:
			break;
	}
	return change_rows(dispatcher, errand);
}

static BmwErrandResult
change_endpoint(Dispatcher *dispatcher, const BmwErrand *errand)
{
	int number = registry_of(errand->endpoint_id);
	Endpoint *endpoint = &registry.endpoints[number];
	Version version = endpoint->now;

	if (!version.exists)
		return BMW_ERRAND_DONE;
	if (endpoint->locked_until > world.now || tables.endpoints_locked_until > world.now)
		return BMW_ERRAND_LATER;
	wal_note_endpoint(number);
	if (errand->kind == BMW_ERRAND_DISABLE)
	{
		MET(MET_DISABLED_BY_US);
		version.is_enabled = false;
	}
	else
	{
		MET(MET_NOTED_FAILING);
		version.failing_since = errand->time_us;
	}
	trace("shard %d %s endpoint %d", dispatcher->shard,
		  version.is_enabled ? "notes the health of" : "disables", number);
	registry_install(number, &version);
	wal_commit();
	registry.generation++;
	for (int i = 0; i < dispatchers_length; i++)
		dispatcher_wake(i);
	return BMW_ERRAND_DONE;
}

/* All that can be changed at once; what is locked, later. */
static BmwErrandResult
change_rows(Dispatcher *dispatcher, const BmwErrand *errand)
{
	static Moved moved[BMW_ERRAND_ROWS];
	int endpoint = registry_of(errand->endpoint_id);
	const int *events;
	int length = rows_pending(endpoint, &events);
	int changed = 0;
	int left = 0;

	for (int i = length - 1; i >= 0; i--)
	{
		int event = events[i];
		Row row = pair_of(event, endpoint)->row;

		if (!is_meant(errand, endpoint, event, &row))
			continue;
		if (changed == BMW_ERRAND_ROWS || pair_of(event, endpoint)->locked_until > world.now)
		{
			left++;
			continue;
		}
		row_write(event, endpoint, &row);
		trace("event %d for endpoint %d: errand %d", event, endpoint, (int) errand->kind);
		moved[changed++] = (Moved){.event = event, .due = row.due};
	}
	wal_commit();
	for (int i = 0; i < changed && errand->kind != BMW_ERRAND_CANCEL; i++)
		bmw_scheduler_moved(dispatcher->scheduler, errand->endpoint_id,
							&tables.events[moved[i].event].id, moved[i].due);
	return bmw_errand_result(left == 0, changed);
}

static bool
is_meant(const BmwErrand *errand, int endpoint, int event, Row *row)
{
	const Version *version = &registry.endpoints[endpoint].now;
	int64_t delay = registry_delay(version, row->attempts > 0 ? row->attempts : 1);
	int64_t latest = world_wall() + (delay > 0 ? delay * 6 / 5 : 0);

	(void) event;
	if (row->aside != ROW_NONE)
		return false;
	switch (errand->kind)
	{
		case BMW_ERRAND_CANCEL:
			if (version->exists)
				return false;
			MET(MET_CANCELED_ROWS);
			row->status = ROW_CANCELED;
			row->due = 0;
			return true;
		case BMW_ERRAND_LET_GO:
			if (row->due != BMW_HELD_BACK)
				return false;
			MET(MET_LET_GO);
			row->due = world_wall();
			return true;
		case BMW_ERRAND_CLAMP:
			if (!version->exists || row->due == BMW_HELD_BACK || row->due <= latest ||
				(row->last != 0 && row->last <= world_wall()))
				return false;
			MET(MET_CLAMPED);
			row->due = latest;
			return true;
		case BMW_ERRAND_FAILING:
		case BMW_ERRAND_DISABLE:
			break;
	}
	return false;
}
