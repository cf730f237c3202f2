/*
 * console/loop.h - the one loop: sockets of browsers, sockets of the database, a clock.
 */
#ifndef BMW_CONSOLE_LOOP_H
#define BMW_CONSOLE_LOOP_H

#include <microhttpd.h>
#include <stdint.h>

#include "console/session.h"

extern void bmw_loop_create(void);
/* What (EPOLLIN, EPOLLOUT) is waited for on the session's connection, whose socket may have changed. */
extern void bmw_loop_watch(BmwSession *session, uint32_t events);
/* Until a signal says stop. */
extern void bmw_loop_run(struct MHD_Daemon *http);

#endif
