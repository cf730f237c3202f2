/*
 * core/report.h - what a dispatcher does with each endpoint, for those who want to see it.
 *
 * A lane whose requests start or end is noted; its report is made when it is asked for,
 * and only when it says something else than the last one. So the cost is that of the
 * lanes that send, however many there are.
 */
#ifndef BMW_CORE_REPORT_H
#define BMW_CORE_REPORT_H

#include "core/scheduler.h"
#include "core/window.h"

typedef struct BmwReport
{
	int64_t endpoint_id;
	int in_flight;		   /* requests */
	int allowed;		   /* of them at the same time */
	double rate;		   /* a second; 0: not paced */
	int64_t held_until_us; /* nothing is sent before; 0: it is not held */
	int64_t since_us;	   /* when this became so, in_flight apart */
	BmwWindowReason reason;
	bool is_crowded;  /* its application has as many requests in flight as it may */
	bool is_queueing; /* as many requests go to its address as may */
} BmwReport;

/* Are there lanes whose report may be another one now? */
extern bool bmw_report_is_due(const BmwScheduler *scheduler);
/* The next report that says something new; false: there is none. */
extern bool bmw_report_next(BmwScheduler *scheduler, BmwReport *report);

#endif
