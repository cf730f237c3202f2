/*
 * pg/sql/pace.c - what a user asks about the pace of endpoints: endpoint_paces().
 *
 * Shared memory knows endpoints of everybody: what is told is of those that the caller
 * may see in the table.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pg/server/shared_reports.h"
#include "pg/sql/interval.h"
#include "pg/sql/visible.h"
#include "utils/builtins.h"

#define COLUMNS 7

PG_FUNCTION_INFO_V1(bm_webhook_endpoint_paces);

static const char *const reasons[] = {
	[BMW_WINDOW_FREE] = NULL,
	[BMW_WINDOW_LATE] = "answers late",
	[BMW_WINDOW_REFUSING] = "refuses (503)",
	[BMW_WINDOW_LIMITING] = "limits its rate (429)",
	[BMW_WINDOW_SILENT] = "nothing answers",
};

static int compare(const void *a, const void *b);
static const char *reason_of(const BmwSharedReport *report);
static void put(ReturnSetInfo *result, const BmwSharedReport *report);

/* endpoint_paces(): a row for each endpoint that something was sent to, as far as there is room for them. */
Datum
bm_webhook_endpoint_paces(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	BmwSharedReport *reports;
	int64 *ids;
	int length = 0;
	int visible_length;

	InitMaterializedSRF(fcinfo, 0);
	if (bmw_shared != NULL)
		length = bmw_shared_reports_get(MyDatabaseId, &reports);
	if (length == 0)
		return (Datum) 0;
	qsort(reports, length, sizeof(*reports), compare);
	ids = palloc(sizeof(*ids) * length);
	for (int i = 0; i < length; i++)
		ids[i] = reports[i].endpoint_id;
	visible_length = bmw_visible_endpoints(ids, length, ids);
	for (int i = 0, k = 0; i < length && k < visible_length; i++)
		if (reports[i].endpoint_id == ids[k])
		{
			put(result, &reports[i]);
			k++;
		}
	return (Datum) 0;
}

static int
compare(const void *a, const void *b)
{
	int64 left = ((const BmwSharedReport *) a)->endpoint_id;
	int64 right = ((const BmwSharedReport *) b)->endpoint_id;

	return (left > right) - (left < right);
}

/* What the receiver does comes first: it would be the same without the limit. */
static const char *
reason_of(const BmwSharedReport *report)
{
	if (reasons[report->reason] == NULL && report->is_queueing)
		return "as many requests go to its address as may";
	if (reasons[report->reason] == NULL && report->is_crowded)
		return "its application has as many requests in flight as it may";
	return reasons[report->reason];
}

static void
put(ReturnSetInfo *result, const BmwSharedReport *report)
{
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS] = {0};

	values[0] = Int64GetDatum(report->endpoint_id);
	values[1] = Int32GetDatum(report->allowed);
	values[2] = Float4GetDatum(report->rate);
	nulls[2] = report->rate == 0;
	values[3] = TimestampTzGetDatum(bmw_from_unix_us(report->held_until_us));
	nulls[3] = report->held_until_us <= bmw_unix_us(GetCurrentTimestamp());
	nulls[4] = reason_of(report) == NULL;
	if (!nulls[4])
		values[4] = CStringGetTextDatum(reason_of(report));
	values[5] = TimestampTzGetDatum(bmw_from_unix_us(report->since_us));
	values[6] = Int32GetDatum(report->in_flight);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
