/*
 * pg/sql/emit_limits.h - when no event of an application may be emitted: too many a second, or too much waits.
 *
 * Its max_emit_rate, counted over all sessions in shared memory, and its max_waiting. What triggers
 * capture is never asked: a limit cannot fail the write of a watched table.
 */
#ifndef BMW_PG_SQL_EMIT_LIMITS_H
#define BMW_PG_SQL_EMIT_LIMITS_H

#include "pg/sql/insert.h"

/* Counts the event for its application, or that of its endpoint; 53400 when it may not be emitted now. */
extern void bmw_emit_limits_check(const BmwNewEvent *event);
/* Counts a ping for the current role, but for administrators; 53400 when there are too many. */
extern void bmw_emit_limits_check_ping(void);

#endif
