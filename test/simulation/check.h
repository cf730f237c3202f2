/*
 * check.h - what must hold at every step, and what must have happened in the end.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "dispatcher.h"
#include "operations.h"
#include "receivers.h"

extern void check_begin(void);
/* check.c: as seen from outside. */
extern void check_request(Dispatcher *dispatcher, int event, int endpoint, const BmwRequest *made);
extern void check_end(Dispatcher *dispatcher, const Request *ended, const BmwRecord *record);
extern void check_record(const Dispatcher *dispatcher, const BmwRecord *record);
extern void check_cursor(const Dispatcher *dispatcher, const BmwSnapshot *snapshot);
/* When everything is calm: is all done? If it must be, what is not ends the run. */
extern bool check_is_done(bool must_be);
/* Nothing waits for longer than any schedule and Retry-After say, wherever the clock has been. */
extern void check_plans(void);
/* check_limits.c: what is too late, and what is too much. */
extern void check_rates_begin(void);
extern void check_limits(const Dispatcher *dispatcher, int event, int endpoint,
						 const BmwRequest *made);
extern void check_expired(const Dispatcher *dispatcher, const BmwRecord *record);
/* check_operations.c: what users have asked for. */
extern void check_canceled(int event, int endpoint);
/* An operation has ended; in_memory: of the endpoint's deliveries. */
extern void check_recovered(const Operation *operation, const BmwUuid *in_memory, int length);
extern void check_operations(void);
/* inside.c: what the scheduler holds. */
extern void check_dispatcher(Dispatcher *dispatcher);
extern void check_describe(int endpoint);
/* For the calm, in which nothing is to be found by a look. */
extern void check_plan_look(Dispatcher *dispatcher, int64_t at_us);
extern void check_is_empty(const Dispatcher *dispatcher);
/* inside_turns.c: whose turn it is. */
extern void check_turns(Dispatcher *dispatcher);
extern void check_started(Dispatcher *dispatcher, int endpoint);
/* inside_order.c: what the order holds. */
extern void check_order_lists(const Dispatcher *dispatcher);
extern int check_before_look(const Dispatcher *dispatcher);
extern void check_look(const Dispatcher *dispatcher, int before);
extern void check_taken(const Dispatcher *dispatcher, const BmwFetch *fetch);
extern void check_order_is_done(const Dispatcher *dispatcher);

#endif
