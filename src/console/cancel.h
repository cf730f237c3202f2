/*
 * console/cancel.h - what the server does for nobody is canceled.
 */
#ifndef BMW_CONSOLE_CANCEL_H
#define BMW_CONSOLE_CANCEL_H

#include <sys/types.h>

#include "console/session.h"

/* A process of its own asks for it. Until that has ended the server may cancel whatever it is sent. */
extern void bmw_cancel_begin(BmwSession *session);
/* One that has ended; 0: none. */
extern pid_t bmw_cancel_ended(void);

#endif
