/*
 * check_operations.c - what must hold of what users have asked for: cancel and recover.
 */
#include <string.h>

#include "check.h"
#include "trace.h"
#include "world.h"

static bool is_among(const BmwUuid *id, const BmwUuid *ids, int length);

/* At a request. What was in flight when it was to be canceled ends as it would have, and is canceled then. */
void
check_canceled(int event, int endpoint)
{
	const Pair *pair = pair_of(event, endpoint);
	const Operation *operation = &operations[pair->canceled_by - 1];

	if (pair->canceled_by == 0 || pair->again >= pair->canceled)
		return;
	if (operation->row.has_ended)
		violation("event %d is sent to endpoint %d, for which it was canceled by operation %d",
				  event, endpoint, pair->canceled_by - 1);
	if (operation->is_known && pair->row.status == ROW_NONE && !pair->was_in_flight)
		violation("event %d is sent to endpoint %d from memory, where operation %d has canceled it",
				  event, endpoint, pair->canceled_by - 1);
}

/* What is in memory alone is taken again after a crash, if the endpoint still gets it then. */
void
check_recovered(const Operation *operation, const BmwUuid *in_memory, int length)
{
	for (int i = 0; i < tables.events_length; i++)
	{
		Pair *pair = pair_of(i, operation->endpoint);

		if (pair->recovering_by != (int) (operation - operations) + 1)
			continue;
		if (pair->row.status == ROW_NONE && pair->row.aside == ROW_NONE &&
			!is_among(&tables.events[i].id, in_memory, length))
			violation("operation %d has ended, and has not recovered event %d for endpoint %d",
					  (int) (operation - operations), i, operation->endpoint);
		if (pair->row.status == ROW_NONE)
			pair->recovering_by = 0;
	}
}

/* In the end. */
void
check_operations(void)
{
	for (int i = 0; i < operations_length; i++)
	{
		if (!operations[i].row.has_ended)
			violation("operation %d for endpoint %d never ends", i, operations[i].endpoint);
		if (operations[i].kind == OPERATION_RECOVER && !operations[i].row.has_failed)
			check_recovered(&operations[i], NULL, 0);
	}
}

static bool
is_among(const BmwUuid *id, const BmwUuid *ids, int length)
{
	for (int i = 0; i < length; i++)
		if (memcmp(&ids[i], id, sizeof(*id)) == 0)
			return true;
	return false;
}
