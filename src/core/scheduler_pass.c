/*
 * core/scheduler_pass.c - passes: what is read next, and what the cursor may say.
 *
 * By the difference of two snapshots: the new events are those of transactions
 * that were running in `previous` and are over in `now`, and those of
 * transactions that began later and that `now` sees. Nothing old is read
 * again, however long some other transaction runs. A pass is everything
 * between two snapshots, read in chunks; the cursor moves past it when all its
 * deliveries have a row.
 *
 * A pass whose endpoints could not all be read, because somebody has locked them
 * or too many have changed, is matched with what is known: provisionally. It does not move the cursor,
 * and as soon as they can be read everything since is read once more;
 * deliveries that are in memory or in the tables are then left out.
 */
#include <stdlib.h>
#include <string.h>

#include "core/scheduler_internal.h"

#define LOOK_INTERVAL_US (5 * BMW_SECOND_US)			 /* for what nothing announced */
#define GATHER_US 2000									 /* between looks under load */
#define FLOOR_MARGIN_US (INT64_C(86400) * BMW_SECOND_US) /* for clocks that are set back */

static bool can_match_again(const BmwScheduler *scheduler);
static void match_again(BmwPasses *passes);
static BmwStatus begin_provisional(BmwPasses *passes);
static BmwStatus open_pass(BmwScheduler *scheduler, BmwSnapshot *now, int64_t since_us);
static int64_t since_of(const BmwPasses *passes, const BmwSnapshot *now);
static bool has_news(const BmwPasses *passes, const BmwSnapshot *now, int ended_length);
static void skip_ended(BmwPasses *passes);
static BmwStatus end_pass(BmwScheduler *scheduler);
static BmwStatus copy_snapshot(const BmwSnapshot *from, BmwSnapshot *to);
static void settle(BmwScheduler *scheduler);

void
bmw_scheduler_start(BmwScheduler *scheduler, BmwSnapshot *cursor, int64_t since_us)
{
	BmwPasses *passes = &scheduler->passes;

	passes->previous = *cursor;
	*cursor = (BmwSnapshot){0};
	/* written by a clock that was ahead: then it bounds nothing */
	passes->since_us = since_us <= scheduler->now_us ? since_us : 0;
	passes->needs_check = true;
	passes->is_announced = true;
}

bool
bmw_scheduler_wants_events(BmwScheduler *scheduler, bool is_announced)
{
	BmwPasses *passes = &scheduler->passes;
	bool has_something;

	passes->is_announced = passes->is_announced || is_announced;
	has_something = passes->current != NULL || can_match_again(scheduler) ||
					scheduler->now_us >= passes->last_look_us + LOOK_INTERVAL_US ||
					(passes->is_announced && scheduler->now_us >= passes->gather_until_us);
	return has_something && bmw_scheduler_may_read(scheduler) &&
		   !bmw_passes_wait_for_endpoints(scheduler) && !bmw_take_is_blocked(scheduler);
}

bool
bmw_scheduler_needs_pass(const BmwScheduler *scheduler)
{
	return scheduler->passes.current == NULL;
}

BmwStatus
bmw_scheduler_begin_pass(BmwScheduler *scheduler, BmwSnapshot *now)
{
	BmwPasses *passes = &scheduler->passes;
	uint64_t *ended;
	int64_t since_us;
	int ended_length;

	if (can_match_again(scheduler))
		match_again(passes);
	since_us = since_of(passes, now);
	ended = malloc(sizeof(*ended) * (size_t) (passes->previous.xip_length + 1));
	if (ended == NULL)
	{
		bmw_snapshot_free(now);
		return BMW_ERROR_MEMORY;
	}
	ended_length = bmw_snapshot_ended(&passes->previous, now, ended);
	free(passes->ended);
	passes->ended = ended;
	passes->ended_length = ended_length;
	passes->last_look_us = scheduler->now_us;
	passes->is_announced = false;
	if (has_news(passes, now, ended_length))
		return open_pass(scheduler, now, since_us);
	passes->since_us = since_us;
	bmw_snapshot_free(now);
	return BMW_OK;
}

bool
bmw_scheduler_next_chunk(BmwScheduler *scheduler, BmwChunk *chunk)
{
	BmwPasses *passes = &scheduler->passes;

	if (passes->current == NULL || bmw_passes_wait_for_endpoints(scheduler))
		return false;
	if ((!passes->current->has_endpoints || passes->has_provisional) &&
		begin_provisional(passes) != BMW_OK)
		return false;
	*chunk = (BmwChunk){.xids = passes->is_reading_ended ? passes->ended : NULL,
						.xids_length = passes->is_reading_ended ? passes->ended_length : 0,
						.after = passes->position,
						.now = &passes->current->now,
						.limit = BMW_CHUNK_LENGTH,
						.needs_check = passes->needs_check};
	bmw_uuid_floor(passes->since_us - FLOOR_MARGIN_US, &chunk->floor);
	return true;
}

BmwStatus
bmw_scheduler_end_chunk(BmwScheduler *scheduler, int rows)
{
	BmwPasses *passes = &scheduler->passes;

	if (rows > 0)
		passes->gather_until_us = scheduler->now_us + GATHER_US;
	if (rows >= BMW_CHUNK_LENGTH)
		return BMW_OK;
	if (!passes->is_reading_ended)
		return end_pass(scheduler);
	skip_ended(passes);
	return BMW_OK;
}

void
bmw_pass_settled(BmwScheduler *scheduler, BmwPass *pass)
{
	if (pass == NULL)
		return;
	pass->unsettled--;
	settle(scheduler);
}

void
bmw_passes_shift(BmwPasses *passes, int64_t by_us)
{
	passes->last_look_us -= by_us;
	passes->gather_until_us -= by_us;
	passes->since_us -= by_us;
	passes->provisional_since_us -= by_us;
	for (BmwPass *pass = passes->oldest; pass != NULL; pass = pass->next)
		pass->since_us -= by_us;
}

void
bmw_passes_destroy(BmwPasses *passes)
{
	while (passes->oldest != NULL)
	{
		BmwPass *pass = passes->oldest;

		passes->oldest = pass->next;
		bmw_snapshot_free(&pass->now);
		free(pass);
	}
	bmw_snapshot_free(&passes->previous);
	bmw_snapshot_free(&passes->provisional_previous);
	free(passes->ended);
}

int64_t
bmw_passes_wakeup_us(const BmwScheduler *scheduler)
{
	const BmwPasses *passes = &scheduler->passes;
	int64_t wakeup = passes->last_look_us + LOOK_INTERVAL_US;

	if (passes->current != NULL || can_match_again(scheduler) || passes->is_announced)
		wakeup = scheduler->tight_length > 0 ? scheduler->now_us + BMW_SECOND_US / 100
											 : passes->gather_until_us;
	else if (scheduler->tight_length > 0 && scheduler->now_us + BMW_SECOND_US < wakeup)
		wakeup = scheduler->now_us + BMW_SECOND_US;
	if (bmw_passes_wait_for_endpoints(scheduler) && wakeup < scheduler->readings.again_us)
		wakeup = scheduler->readings.again_us;
	return wakeup;
}

/* A pass begins when the endpoints may be read, and once they were read it goes on. */
bool
bmw_passes_wait_for_endpoints(const BmwScheduler *scheduler)
{
	const BmwPass *pass = scheduler->passes.current;
	const BmwReadings *readings = &scheduler->readings;

	return (pass == NULL || !pass->has_endpoints) && readings->has_changed &&
		   !readings->is_behind && scheduler->now_us < readings->again_us;
}

static bool
can_match_again(const BmwScheduler *scheduler)
{
	return scheduler->passes.has_provisional && !scheduler->readings.is_behind;
}

/* The pass that begins now reaches back to where they began. */
static void
match_again(BmwPasses *passes)
{
	bmw_snapshot_free(&passes->previous);
	passes->previous = passes->provisional_previous;
	passes->provisional_previous = (BmwSnapshot){0};
	passes->since_us = passes->provisional_since_us;
	passes->last_look_us = 0; /* that was of a later snapshot */
	passes->has_provisional = false;
	passes->needs_check = true;
}

/* The pass at hand, and all that come before the endpoints can be read, will be read once more. */
static BmwStatus
begin_provisional(BmwPasses *passes)
{
	passes->current->is_provisional = true;
	if (passes->has_provisional)
		return BMW_OK;
	if (copy_snapshot(&passes->previous, &passes->provisional_previous) != BMW_OK)
		return BMW_ERROR_MEMORY;
	passes->provisional_since_us = passes->since_us;
	passes->has_provisional = true;
	return BMW_OK;
}

static BmwStatus
open_pass(BmwScheduler *scheduler, BmwSnapshot *now, int64_t since_us)
{
	BmwPasses *passes = &scheduler->passes;
	BmwPass *pass = calloc(1, sizeof(*pass));

	if (pass == NULL)
	{
		bmw_snapshot_free(now);
		return BMW_ERROR_MEMORY;
	}
	pass->now = *now;
	*now = (BmwSnapshot){0};
	pass->since_us = since_us;
	passes->is_reading_ended = passes->ended_length > 0;
	passes->position = (BmwPosition){0};
	if (!passes->is_reading_ended)
		skip_ended(passes);
	if (passes->oldest == NULL)
		passes->oldest = pass;
	else
		passes->newest->next = pass;
	passes->current = passes->newest = pass;
	return BMW_OK;
}

/*
 * What `now` does not see was captured after this: nothing that was running at
 * the last look still runs, or else what held for the last look holds on.
 */
static int64_t
since_of(const BmwPasses *passes, const BmwSnapshot *now)
{
	if (now->xmin >= passes->previous.xmax && passes->last_look_us != 0)
		return passes->last_look_us;
	return passes->since_us;
}

static bool
has_news(const BmwPasses *passes, const BmwSnapshot *now, int ended_length)
{
	return ended_length > 0 || now->xmax != passes->previous.xmax || passes->needs_check;
}

/* On to what began after the previous snapshot. */
static void
skip_ended(BmwPasses *passes)
{
	passes->is_reading_ended = false;
	passes->position.xid = passes->previous.xmax - 1;
	memset(passes->position.id.bytes, 0xFF, sizeof(passes->position.id.bytes));
}

static BmwStatus
end_pass(BmwScheduler *scheduler)
{
	BmwPasses *passes = &scheduler->passes;
	BmwPass *pass = passes->current;
	BmwSnapshot copy;

	if (copy_snapshot(&pass->now, &copy) != BMW_OK)
		return BMW_ERROR_MEMORY;
	bmw_take_end_of_pass(scheduler);
	bmw_snapshot_free(&passes->previous);
	passes->previous = copy;
	passes->since_us = pass->since_us;
	passes->current = NULL;
	/* one at the start that could not know all endpoints has not found all that has no row */
	passes->needs_check = passes->needs_check && pass->is_provisional;
	pass->is_read = true;
	settle(scheduler);
	return BMW_OK;
}

static BmwStatus
copy_snapshot(const BmwSnapshot *from, BmwSnapshot *to)
{
	*to = *from;
	to->xip = malloc(sizeof(*to->xip) * (size_t) (from->xip_length + 1));
	if (to->xip == NULL)
		return BMW_ERROR_MEMORY;
	if (from->xip_length > 0)
		memcpy(to->xip, from->xip, sizeof(*to->xip) * (size_t) from->xip_length);
	return BMW_OK;
}

/* In order: the cursor is one snapshot. A provisional one is settled by the pass that reads it again. */
static void
settle(BmwScheduler *scheduler)
{
	BmwPasses *passes = &scheduler->passes;
	BmwWriter *writer = &scheduler->writer;

	while (passes->oldest != NULL && passes->oldest->is_read && passes->oldest->unsettled == 0)
	{
		BmwPass *pass = passes->oldest;

		passes->oldest = pass->next;
		if (passes->oldest == NULL)
			passes->newest = NULL;
		if (pass->is_provisional)
			bmw_snapshot_free(&pass->now);
		else
		{
			bmw_snapshot_free(&writer->settled);
			writer->settled = pass->now;
			writer->settled_since_us = pass->since_us;
			writer->has_settled = true;
		}
		free(pass);
	}
}
