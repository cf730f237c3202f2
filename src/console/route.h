/*
 * console/route.h - which paths of /api there are, and the one statement that each runs.
 *
 * No text of a request becomes part of a statement: it is its parameter.
 */
#ifndef BMW_CONSOLE_ROUTE_H
#define BMW_CONSOLE_ROUTE_H

#include <stdbool.h>

typedef enum BmwRouteKind
{
	BMW_ROUTE_CALL,	   /* answers what the function returns */
	BMW_ROUTE_SESSION, /* the same, beside the token of the session */
	BMW_ROUTE_EXPORT,  /* streams the lines of the cursor that it opens */
	BMW_ROUTE_LIVE,	   /* asks again and again */
	BMW_ROUTE_LOGIN,
	BMW_ROUTE_LOGOUT
} BmwRouteKind;

typedef struct BmwRoute
{
	const char *name;
	const char *sql; /* $1: the argument; of BMW_ROUTE_LIVE $2, and $1 the cursor */
	BmwRouteKind kind;
	bool is_post; /* GET runs read only */
} BmwRoute;

/* NULL: there is none, or *is_other_method. The path begins with /api/. */
extern const BmwRoute *bmw_route_find(const char *path, const char *method, bool *is_other_method);
extern bool bmw_route_is_api(const char *path);

#endif
