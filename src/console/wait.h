/*
 * console/wait.h - waits of a program that does one thing at a time, and that Ctrl-C ends.
 */
#ifndef BMW_CONSOLE_WAIT_H
#define BMW_CONSOLE_WAIT_H

#include <stdbool.h>

/* From now on SIGINT and SIGTERM end waits, and nothing else. */
extern void bmw_wait_begin(void);
/* Until the descriptor (-1: none) has one of these events (POLLIN, POLLOUT) or the time has passed (-1: never does).
 */
extern void bmw_wait_for(int fd, short events, int timeout_ms);
/* Has a signal said stop? */
extern bool bmw_wait_is_over(void);

#endif
