/*
 * console/failure.h - how often a sign-in has failed, by user and address, and by address alone.
 */
#ifndef BMW_CONSOLE_FAILURE_H
#define BMW_CONSOLE_FAILURE_H

#include <stdbool.h>
#include <time.h>

/* Has this user, or the address, failed so often within a minute that he has to wait? */
extern bool bmw_failure_is_barred(const char *user, const char *address);
/* Counted when a password is tried, and taken back when it was not wrong. */
extern void bmw_failure_count(const char *user, const char *address);
extern void bmw_failure_take_back(const char *user, const char *address);
extern void bmw_failures_tick(time_t now);

#endif
