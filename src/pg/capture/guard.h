/*
 * pg/capture/guard.h - runs what may raise an error, and gives the error back.
 */
#ifndef BMW_PG_CAPTURE_GUARD_H
#define BMW_PG_CAPTURE_GUARD_H

/*
 * Calls work(argument) in a subtransaction, which costs about a microsecond.
 * Returns NULL, or the message of the error that it raised, in the current
 * memory context; all that it had changed in the database is undone then.
 * Raises again what the whole transaction has to know.
 */
extern const char *bmw_capture_guard(void (*work)(void *), void *argument);

#endif
