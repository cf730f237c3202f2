/*
 * pg/sql/event_state.h - what has become of an event at all of its endpoints.
 */
#ifndef BMW_PG_SQL_EVENT_STATE_H
#define BMW_PG_SQL_EVENT_STATE_H

#include "core/uuid.h"

/* How it stands with an event: for wait_for_delivery(), as the caller, in any session. */
typedef enum BmwEventState
{
	BMW_EVENT_UNKNOWN,
	BMW_EVENT_UNCOMMITTED, /* of the caller's own transaction */
	BMW_EVENT_WAITING,	   /* some delivery has not ended, or has not begun */
	BMW_EVENT_DELIVERED,   /* to at least one endpoint, and to all that match */
	BMW_EVENT_ENDED,	   /* failed or canceled somewhere */
	BMW_EVENT_UNMATCHED	   /* no enabled endpoint gets it */
} BmwEventState;
extern BmwEventState bmw_event_state_read(const BmwUuid *event_id);

#endif
