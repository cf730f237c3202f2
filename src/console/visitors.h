/*
 * console/visitors.h - who is connected: whoever asks nothing makes way when many do.
 */
#ifndef BMW_CONSOLE_VISITORS_H
#define BMW_CONSOLE_VISITORS_H

#include <microhttpd.h>

/* Callback of the library: a connection begins or ends. */
extern void bmw_visitors_notify(void *arg, struct MHD_Connection *http, void **self,
								enum MHD_ConnectionNotificationCode what);
/* A session works for it: it stays. */
extern void bmw_visitors_serve(struct MHD_Connection *http);
/* No session does any more. */
extern void bmw_visitors_wait(struct MHD_Connection *http);

#endif
