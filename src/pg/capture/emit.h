/*
 * pg/capture/emit.h - one event, made by hand.
 */
#ifndef BMW_PG_CAPTURE_EMIT_H
#define BMW_PG_CAPTURE_EMIT_H

#include "pg/sql/insert.h"

/* Checks and inserts it, and returns its id as a Datum. Ereports what is wrong with it. */
extern Datum bmw_emit_event(BmwNewEvent *event);

/* An argument that has its place already, and no meaning yet, was given: ereports that. */
extern void bmw_emit_refuse_argument(const char *argument);

#endif
