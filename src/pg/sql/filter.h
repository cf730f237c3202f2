/*
 * pg/sql/filter.h - is an event one that an endpoint's filter lets through?
 *
 * The one answer for the dispatcher, which sends, and for SQL, which explains. The
 * path is evaluated by the server's own code, as the operator @@ does it.
 */
#ifndef BMW_PG_SQL_FILTER_H
#define BMW_PG_SQL_FILTER_H

#include "postgres.h"

#include "core/event.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"

typedef enum BmwFilterVerdict
{
	BMW_FILTER_MATCHES,
	BMW_FILTER_DIFFERS, /* false, null, or what it asks for is missing */
	BMW_FILTER_FAILED	/* an error, or no answer within the time: not sent */
} BmwFilterVerdict;

/* A body, made ready for any number of filters. */
typedef struct BmwFilterBody
{
	Jsonb *json;	   /* NULL: it cannot be made */
	const char *error; /* then: why */
} BmwFilterBody;

typedef struct BmwFilterAnswer
{
	BmwFilterVerdict verdict;
	const char *error; /* of one that failed: the primary message */
	int64 cpu_us;	   /* that it took */
} BmwFilterAnswer;

/*
 * The whole body, in the current memory context. Never ereports for what is in it: the
 * texts of the source are in UTF-8, or in the database's encoding.
 */
extern BmwFilterBody bmw_filter_body(const BmwEventSource *source, bool is_utf8);
/*
 * Breaks off what takes longer than BMW_FILTER_MAX_US of processor time. Errors of the
 * predicate are in the answer; what else comes in between (a cancel, a shutdown) ereports.
 */
extern BmwFilterAnswer bmw_filter_apply(const BmwFilterBody *body, const JsonPath *filter);

#define BMW_FILTER_MAX_US 5000

#endif
