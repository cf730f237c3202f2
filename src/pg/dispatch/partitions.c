/*
 * pg/dispatch/partitions.c - the clerk of a dispatcher who makes partitions for the days to come.
 *
 * Not a condition of anything else: there is a default partition.
 */
#include "postgres.h"

#include "pg/dispatch/partitions.h"

#include "pg/dispatch/store.h"

#define SECOND_US INT64CONST(1000000)
#define MINUTE_US (60 * SECOND_US)
#define LOOK_MINUTES 60	   /* between looks whether partitions must be made */
#define LACKING_MINUTES 10 /* and while some could not be made */

static void make(BmwPartitions *partitions, int64 now_us);
static bool run(BmwPartitions *partitions, BmwWork work);
static void make_one(void *context);
static void judge(void *context);
static void log_lack(const char *missing);

void
bmw_partitions_init(BmwPartitions *partitions, BmwSlot *slot)
{
	*partitions = (BmwPartitions){.slot = slot, .has_extension = true};
	bmw_upkeep_init(&partitions->upkeep, slot);
}

void
bmw_partitions_run(BmwPartitions *partitions, int64 now_us)
{
	if (now_us >= partitions->look_at_us)
		make(partitions, now_us);
	if (partitions->has_extension)
		bmw_upkeep_run(&partitions->upkeep, now_us);
}

/* What could not be done is not tried more than once a second. */
int64
bmw_partitions_wakeup_us(const BmwPartitions *partitions, int64 now_us)
{
	int64 look_at_us = Min(partitions->look_at_us, bmw_upkeep_wakeup_us(&partitions->upkeep));

	return Max(look_at_us, now_us + SECOND_US);
}

void
bmw_partitions_shift(BmwPartitions *partitions, int64 back_us)
{
	partitions->look_at_us -= back_us;
	bmw_upkeep_shift(&partitions->upkeep, back_us);
}

/* At once, and again a second later, as another dispatcher may be in the way. */
void
bmw_partitions_reload(BmwPartitions *partitions)
{
	partitions->look_at_us = 0;
	partitions->has_lacked = false;
	bmw_upkeep_reload(&partitions->upkeep);
}

static void
make(BmwPartitions *partitions, int64 now_us)
{
	partitions->now_us = now_us;
	do
		partitions->has_made_one = false;
	while (run(partitions, make_one) && partitions->has_made_one);
	if (!run(partitions, judge))
		partitions->look_at_us = now_us + MINUTE_US;
}

static bool
run(BmwPartitions *partitions, BmwWork work)
{
	BmwTransactionResult result =
		bmw_transaction_run(partitions->slot, &partitions->streak, work, partitions);

	if (result == BMW_TRANSACTION_NO_EXTENSION)
		partitions->has_extension = false;
	return result == BMW_TRANSACTION_DONE;
}

static void
make_one(void *context)
{
	BmwPartitions *partitions = context;

	partitions->has_made_one = bmw_store_create_partition();
}

static void
judge(void *context)
{
	BmwPartitions *partitions = context;
	const char *missing = bmw_store_missing_partitions();
	bool is_lacking = missing != NULL;

	partitions->look_at_us =
		partitions->now_us + (is_lacking ? LACKING_MINUTES : LOOK_MINUTES) * MINUTE_US;
	if (is_lacking && !partitions->has_lacked)
		partitions->look_at_us = partitions->now_us + SECOND_US;
	else if (bmw_shmem_lacks_partitions(partitions->slot, is_lacking))
		log_lack(missing);
	partitions->has_lacked = is_lacking;
}

static void
log_lack(const char *missing)
{
	if (missing == NULL)
		ereport(LOG, errmsg("bm_webhook has made all partitions for the coming days"));
	else
		ereport(
			LOG, errmsg("bm_webhook could not make partitions: %s", missing),
			errdetail(
				"Somebody holds a lock on the table, or its default partition has rows of that day."),
			errhint(
				"It tries again every %d minutes; rows of a day without a partition go to the default one.",
				LACKING_MINUTES));
}
