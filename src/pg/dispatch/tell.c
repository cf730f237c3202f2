/*
 * pg/dispatch/tell.c - the clerk of a dispatcher who tells others how it does: status(), endpoint_pace.
 *
 * All of it is in shared memory. Numbers are told in every cycle, what became of
 * endpoints once a second, and of those alone to which something was sent; and so
 * often PostgreSQL's own statistics.
 */
#include "postgres.h"

#include "pg/dispatch/tell.h"

#include "core/report.h"
#include "pg/dispatch/transaction.h"
#include "pg/server/settings.h"
#include "pg/server/shared_reports.h"
#include "storage/spin.h"

#define SECOND_US INT64CONST(1000000)

static void tell_numbers(BmwTeller *teller, const BmwToldNumbers *numbers);
static void tell_reports(BmwTeller *teller, int64 now_us);
static void report_statistics(BmwTeller *teller, int64 now_us);

void
bmw_tell_init(BmwTeller *teller, BmwScheduler *scheduler, BmwSlot *slot)
{
	*teller = (BmwTeller){.scheduler = scheduler, .slot = slot};
	bmw_shared_reports_forget(slot);
}

void
bmw_tell_run(BmwTeller *teller, const BmwToldNumbers *numbers, int64 now_us)
{
	tell_numbers(teller, numbers);
	if (now_us >= teller->reports_at_us && bmw_report_is_due(teller->scheduler))
		tell_reports(teller, now_us);
	if (now_us >= teller->statistics_at_us && bmw_transaction_has_statistics())
		report_statistics(teller, now_us);
}

void
bmw_tell_shift(BmwTeller *teller, int64 back_us)
{
	teller->reports_at_us -= back_us;
	teller->statistics_at_us -= back_us;
}

int64
bmw_tell_wakeup_us(const BmwTeller *teller)
{
	int64 wakeup = bmw_report_is_due(teller->scheduler) ? teller->reports_at_us : PG_INT64_MAX;

	return bmw_transaction_has_statistics() ? Min(wakeup, teller->statistics_at_us) : wakeup;
}

static void
tell_numbers(BmwTeller *teller, const BmwToldNumbers *numbers)
{
	BmwSlot *slot = teller->slot;
	BmwSchedulerCounts counts = bmw_scheduler_counts(teller->scheduler);

	SpinLockAcquire(&slot->mutex);
	slot->numbers.in_flight = counts.in_flight;
	slot->numbers.queued = counts.queued;
	slot->numbers.unrecorded = counts.unwritten;
	slot->numbers.unrecorded_since = numbers->unrecorded_since;
	slot->numbers.sent = numbers->sent;
	slot->numbers.resent = numbers->resent;
	slot->numbers.is_holding = !bmw_enabled;
	SpinLockRelease(&slot->mutex);
}

static void
tell_reports(BmwTeller *teller, int64 now_us)
{
	BmwReport report;

	while (bmw_report_next(teller->scheduler, &report))
		bmw_shared_reports_put(teller->slot, &report);
	teller->reports_at_us = now_us + SECOND_US;
}

static void
report_statistics(BmwTeller *teller, int64 now_us)
{
	bmw_transaction_report_statistics();
	teller->statistics_at_us = now_us + SECOND_US;
}
