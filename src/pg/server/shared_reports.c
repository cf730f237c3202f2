/*
 * pg/server/shared_reports.c - what dispatchers do with their endpoints, where everybody can see it.
 */
#include "postgres.h"

#include "pg/server/shared_reports.h"

#include "common/hashfn.h"
#include "storage/spin.h"

#define HOUR_US INT64CONST(3600000000)

static BmwSharedReports *set_of(Oid database, int64 endpoint_id);
static BmwSharedReport *place_for(BmwSharedReports *set, const BmwSharedReport *report);
static int64 worth(const BmwSharedReport *report);

void
bmw_shared_reports_forget(const BmwSlot *slot)
{
	for (int i = 0; i < BMW_REPORT_SETS; i++)
	{
		BmwSharedReports *set = &bmw_shared->reports[i];

		SpinLockAcquire(&set->mutex);
		for (int k = 0; k < BMW_REPORTS_IN_SET; k++)
			if (set->reports[k].database == slot->database &&
				(set->reports[k].shard == slot->shard || set->reports[k].shard >= slot->shards))
				set->reports[k].database = InvalidOid;
		SpinLockRelease(&set->mutex);
	}
}

void
bmw_shared_reports_put(const BmwSlot *slot, const BmwReport *report)
{
	BmwSharedReports *set = set_of(slot->database, report->endpoint_id);
	BmwSharedReport shared = {.database = slot->database,
							  .shard = slot->shard,
							  .endpoint_id = report->endpoint_id,
							  .since_us = report->since_us,
							  .held_until_us = report->held_until_us,
							  .rate = (float4) report->rate,
							  .in_flight = report->in_flight,
							  .allowed = report->allowed,
							  .reason = report->reason,
							  .is_crowded = report->is_crowded,
							  .is_queueing = report->is_queueing};
	BmwSharedReport *place;

	SpinLockAcquire(&set->mutex);
	place = place_for(set, &shared);
	if (place != NULL)
		*place = shared;
	SpinLockRelease(&set->mutex);
}

int
bmw_shared_reports_get(Oid database, BmwSharedReport **reports)
{
	int length = 0;

	*reports = palloc(sizeof(**reports) * BMW_REPORT_SETS * BMW_REPORTS_IN_SET);
	for (int i = 0; i < BMW_REPORT_SETS; i++)
	{
		BmwSharedReports *set = &bmw_shared->reports[i];

		SpinLockAcquire(&set->mutex);
		for (int k = 0; k < BMW_REPORTS_IN_SET; k++)
			if (set->reports[k].database == database)
				(*reports)[length++] = set->reports[k];
		SpinLockRelease(&set->mutex);
	}
	return length;
}

static BmwSharedReports *
set_of(Oid database, int64 endpoint_id)
{
	uint64 hash = hash_combine64(murmurhash32(database), (uint64) endpoint_id);

	return &bmw_shared->reports[murmurhash32((uint32) (hash ^ hash >> 32)) % BMW_REPORT_SETS];
}

/* Its own, a free one, or that of one that is worth less; NULL: there is none. */
static BmwSharedReport *
place_for(BmwSharedReports *set, const BmwSharedReport *report)
{
	BmwSharedReport *place = &set->reports[0];

	for (int i = 0; i < BMW_REPORTS_IN_SET; i++)
	{
		BmwSharedReport *other = &set->reports[i];

		if (other->database == report->database && other->endpoint_id == report->endpoint_id)
			return other;
		if (worth(other) < worth(place))
			place = other;
	}
	return worth(place) < worth(report) ? place : NULL;
}

static int64
worth(const BmwSharedReport *report)
{
	if (!OidIsValid(report->database))
		return PG_INT64_MIN;
	return report->since_us +
		   (report->reason != BMW_WINDOW_FREE || report->held_until_us != 0 ? HOUR_US : 0);
}
