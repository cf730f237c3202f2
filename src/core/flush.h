/*
 * core/flush.h - how a list of records gets into the log, whatever some of them meet there.
 *
 * Each attempt is a transaction of the caller's. All are attempted together;
 * when that fails because of one of them, they are halved down to it
 * (bisect.h). One that is locked waits, one that the log refuses is set aside,
 * and when nothing can be written at all, everything stays as it is.
 *
 *   bmw_flush_begin(&flush, records, length, now);
 *   while ((step = bmw_flush_next(&flush, now)).length > 0)
 *     if (step.is_setting_aside) bmw_flush_set_aside(&flush, set_aside(step.records));
 *     else bmw_flush_attempted(&flush, write(step.records, step.length));
 *   result = flush.result
 */
#ifndef BMW_CORE_FLUSH_H
#define BMW_CORE_FLUSH_H

#include "core/bisect.h"
#include "core/scheduler.h"

/* How an attempt ended. */
typedef enum BmwFlushAttempt
{
	BMW_FLUSH_COMMITTED,   /* but for those marked is_locked */
	BMW_FLUSH_LOG_LOCKED,  /* somebody has locked tables of the log: nothing was tried */
	BMW_FLUSH_ROW_REFUSED, /* an error that one of the records may have caused */
	BMW_FLUSH_ROW_LOCKED,  /* likewise, a lock that one of them waits for */
	BMW_FLUSH_IMPOSSIBLE   /* disk full, read-only, shutting down */
} BmwFlushAttempt;

typedef struct BmwFlushStep
{
	BmwRecord *records;
	int length; /* 0: it has ended */
	bool is_setting_aside;
} BmwFlushStep;

typedef struct BmwFlush
{
	BmwRecord *records;
	int length;
	BmwBisect bisect;
	BmwRecord *refused; /* to be set aside next; NULL: none */
	int64_t started_us;
	int size; /* with how many to begin the next time; 0: all */
	BmwWriting result;
} BmwFlush;

/* flush keeps its size from the one before; zeros at first. */
extern void bmw_flush_begin(BmwFlush *flush, BmwRecord *records, int length, int64_t now_us);
extern BmwFlushStep bmw_flush_next(BmwFlush *flush, int64_t now_us);
extern void bmw_flush_attempted(BmwFlush *flush, BmwFlushAttempt attempt);
extern void bmw_flush_set_aside(BmwFlush *flush, bool is_done);

#endif
