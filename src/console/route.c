/*
 * console/route.c - which paths of /api there are, and the one statement that each runs.
 */
#include "console/route.h"

#include <string.h>

#define CALL(name) "SELECT bm_webhook.console_" name "($1::pg_catalog.jsonb)"
#define GET(name)                                                                                  \
	{                                                                                              \
		name, CALL(name), BMW_ROUTE_CALL, false                                                    \
	}
#define POST(name)                                                                                 \
	{                                                                                              \
		name, CALL(name), BMW_ROUTE_CALL, true                                                     \
	}

static const char api[] = "/api/";

static const BmwRoute routes[] = {
	GET("causes"),
	GET("count_deliveries"),
	GET("deliveries"),
	GET("delivery"),
	GET("delivery_rates"),
	GET("endpoint"),
	GET("endpoints"),
	GET("event"),
	GET("event_types"),
	GET("hour"),
	GET("message"),
	GET("message_rates"),
	GET("operations"),
	GET("overview"),
	GET("preview"),
	GET("system"),
	POST("cancel"),
	POST("delete_endpoint"),
	POST("delete_secret"),
	POST("pause"),
	POST("ping"),
	POST("put_back"),
	POST("recover"),
	POST("redeliver"),
	POST("redeliver_since"),
	POST("resume"),
	POST("rotate_secret"),
	POST("save_endpoint"),
	POST("secret"),
	POST("set_aside"),
	POST("verify_endpoint"),
	{"session", CALL("session"), BMW_ROUTE_SESSION, false},
	{"export", CALL("export"), BMW_ROUTE_EXPORT, false},
	{"live",
	 "SELECT t.cursor, t.data FROM bm_webhook.console_tail($2::pg_catalog.jsonb "
	 "|| pg_catalog.jsonb_build_object('cursor', $1::pg_catalog.text)) t",
	 BMW_ROUTE_LIVE, false},
	{"login", NULL, BMW_ROUTE_LOGIN, true},
	{"logout", NULL, BMW_ROUTE_LOGOUT, true},
};

bool
bmw_route_is_api(const char *path)
{
	return strncmp(path, api, strlen(api)) == 0;
}

const BmwRoute *
bmw_route_find(const char *path, const char *method, bool *is_other_method)
{
	*is_other_method = false;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
	{
		if (strcmp(path + strlen(api), routes[i].name) != 0)
			continue;
		if (strcmp(method, routes[i].is_post ? "POST" : "GET") == 0)
			return &routes[i];
		*is_other_method = true;
	}
	return NULL;
}
