/*
 * pg/capture/guard.c - runs what may raise an error, and gives the error back.
 */
#include "postgres.h"

#include "pg/capture/guard.h"

#include "access/xact.h"
#include "utils/resowner.h"

static bool must_fail(const ErrorData *error);

const char *
bmw_capture_guard(void (*work)(void *), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resources = CurrentResourceOwner;
	const char *volatile message = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(argument);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resources;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);

		ErrorData *caught = CopyErrorData();

		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resources;
		if (must_fail(caught))
			ReThrowError(caught);
		message = caught->message;
	}
	PG_END_TRY();
	return message;
}

/* What the whole transaction has to know: cancelled, to be retried, or the server in need. */
static bool
must_fail(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return true;
	}
	return false;
}
