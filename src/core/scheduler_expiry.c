/*
 * core/scheduler_expiry.c - what is not worth sending any more.
 *
 * An event may say until when it is, an endpoint how old one may be. It is looked at
 * when it is a delivery's turn; a retry that would come later is due at that time,
 * so that its row does not wait longer than it has to.
 */
#include "core/scheduler_internal.h"

int64_t
bmw_expiry_us(const BmwTarget *target, const BmwDelivery *delivery)
{
	const BmwEvent *event = delivery->job.event;
	int64_t expires_us = event->expires_us != 0 ? event->expires_us : BMW_NEVER_US;
	int64_t captured_us = bmw_uuid_unix_us(&delivery->event_id);

	if (target->rules.ttl_us != 0 && captured_us + target->rules.ttl_us < expires_us)
		return captured_us + target->rules.ttl_us;
	return expires_us;
}

void
bmw_expiry_cancel(BmwScheduler *scheduler, BmwDelivery *delivery)
{
	BmwLane *lane = delivery->job.lane;

	/* it is the first of its queue */
	if (delivery->job.has_row)
		(void) bmw_lane_take_due(lane);
	else
		(void) bmw_lane_take_new(lane);
	bmw_scheduler_record_cancel(scheduler, delivery, BMW_EXPIRED);
}
