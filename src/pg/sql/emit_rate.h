/*
 * pg/sql/emit_rate.h - how many events a second of an application may be emitted.
 *
 * Its max_emit_rate, counted over all sessions in shared memory. What triggers capture is
 * never asked: a limit cannot fail the write of a watched table.
 */
#ifndef BMW_PG_SQL_EMIT_RATE_H
#define BMW_PG_SQL_EMIT_RATE_H

#include "pg/sql/insert.h"

/* Counts the event for its application, or that of its endpoint; 53400 when there were too many. */
extern void bmw_emit_rate_take(const BmwNewEvent *event);

#endif
