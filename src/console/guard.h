/*
 * console/guard.h - who sends a request: which session, and does a page of ours?
 */
#ifndef BMW_CONSOLE_GUARD_H
#define BMW_CONSOLE_GUARD_H

#include "console/session.h"

/* Would a proxy before us say the same of where the request ends, and for whom it is? */
extern bool bmw_guard_is_framed(struct MHD_Connection *http);
/* Is the request for us, and not for a name that another site has pointed at us? */
extern bool bmw_guard_is_host(struct MHD_Connection *http);
/* Does no browser say that a page of another site sends it? */
extern bool bmw_guard_is_own_site(struct MHD_Connection *http);
/* Has it a body that no plain form of another site can send? */
extern bool bmw_guard_is_json(struct MHD_Connection *http);
/* NULL: it has none. */
extern BmwSession *bmw_guard_session(struct MHD_Connection *http);
/* Why the session that it had has ended; NULL: it had none, or that is long ago. */
extern const char *bmw_guard_why_ended(struct MHD_Connection *http);
/* The cookie that begins the session, or with NULL ends it. */
extern void bmw_guard_cookie(const BmwSession *session, char *cookie, size_t size);
/* Of the client; that of the last proxy's client when there is one. */
extern void bmw_guard_address(struct MHD_Connection *http, char *address, size_t size);

#endif
