/*
 * core/flush.c - how a list of records gets into the log, whatever some of them meet there.
 */
#include "core/flush.h"

#include <stddef.h>

#define BUDGET_US INT64_C(250000) /* then let requests and answers have their turn */

static void failed(BmwFlush *flush, BmwFlushAttempt attempt);
static void set_fates(BmwFlush *flush);

void
bmw_flush_begin(BmwFlush *flush, BmwRecord *records, int length, int64_t now_us)
{
	flush->records = records;
	flush->length = length;
	flush->refused = NULL;
	flush->started_us = now_us;
	flush->result = BMW_WRITING_DONE;
	for (int i = 0; i < length; i++)
		records[i].fate = BMW_RECORD_UNTRIED;
	bmw_bisect_begin(&flush->bisect, length, flush->size);
	flush->size = 0;
}

BmwFlushStep
bmw_flush_next(BmwFlush *flush, int64_t now_us)
{
	int length = flush->result == BMW_WRITING_DONE ? bmw_bisect_next(&flush->bisect) : 0;

	if (flush->refused != NULL)
		return (BmwFlushStep){.records = flush->refused, .length = 1, .is_setting_aside = true};
	if (length > 0 && flush->bisect.position > 0 && now_us - flush->started_us > BUDGET_US)
	{
		flush->size = flush->bisect.size;
		flush->result = BMW_WRITING_UNFINISHED;
		length = 0;
	}
	return (BmwFlushStep){.records = &flush->records[flush->bisect.position], .length = length};
}

void
bmw_flush_attempted(BmwFlush *flush, BmwFlushAttempt attempt)
{
	switch (attempt)
	{
		case BMW_FLUSH_COMMITTED:
			set_fates(flush);
			bmw_bisect_succeeded(&flush->bisect);
			break;
		case BMW_FLUSH_LOG_LOCKED:
			flush->result = BMW_WRITING_LOCKED;
			break;
		case BMW_FLUSH_IMPOSSIBLE:
			flush->result = BMW_WRITING_FAILED;
			break;
		case BMW_FLUSH_ROW_REFUSED:
		case BMW_FLUSH_ROW_LOCKED:
			failed(flush, attempt);
			break;
	}
}

void
bmw_flush_set_aside(BmwFlush *flush, bool is_done)
{
	flush->refused->fate = is_done ? BMW_RECORD_SET_ASIDE : BMW_RECORD_STUCK;
	flush->refused = NULL;
}

/* One that is alone is the one; else the half of them is next. */
static void
failed(BmwFlush *flush, BmwFlushAttempt attempt)
{
	BmwRecord *first = &flush->records[flush->bisect.position];

	for (int i = 0; i < bmw_bisect_next(&flush->bisect); i++)
		first[i].fate = BMW_RECORD_UNTRIED;
	if (!bmw_bisect_failed(&flush->bisect))
		return;
	if (attempt == BMW_FLUSH_ROW_LOCKED)
		first->fate = BMW_RECORD_STUCK;
	else
		flush->refused = first;
}

/* The writer has said OVERTAKEN where it is so. */
static void
set_fates(BmwFlush *flush)
{
	int length = bmw_bisect_next(&flush->bisect);

	for (int i = flush->bisect.position; i < flush->bisect.position + length; i++)
		if (flush->records[i].is_locked)
			flush->records[i].fate = BMW_RECORD_STUCK;
		else if (flush->records[i].fate == BMW_RECORD_UNTRIED)
			flush->records[i].fate = BMW_RECORD_WRITTEN;
}
