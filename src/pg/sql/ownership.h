/*
 * pg/sql/ownership.h - may the caller change this endpoint? For functions that then act as the owner of the log.
 *
 * The same as the policy "member" of the registration tables. What belongs to
 * somebody else is as unknown as what does not exist.
 */
#ifndef BMW_PG_SQL_OWNERSHIP_H
#define BMW_PG_SQL_OWNERSHIP_H

#include "postgres.h"

#include "pg/server/compat.h"

/* Of an endpoint e, for the role $2; $3: policies do not bind it. */
#define BMW_OWNERSHIP                                                                              \
	"($3 OR EXISTS (SELECT FROM bm_webhook.application a"                                          \
	" WHERE a.name OPERATOR(pg_catalog.=) e.application"                                           \
	" AND pg_catalog.pg_has_role($2, a.owner, 'MEMBER')))"

/* The caller's endpoint $1, as e. */
#define BMW_ENDPOINT_OF_CALLER                                                                     \
	" FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) $1 AND e.deleted_at IS NULL"    \
	" AND " BMW_OWNERSHIP

/* The caller, as $2 and $3 of it. */
typedef struct BmwCaller
{
	Datum role;
	Datum is_unbound; /* policies do not bind him */
} BmwCaller;

extern BmwCaller bmw_ownership_caller(void);
/* His name, for the record. */
extern Datum bmw_ownership_caller_name(void);

/* 42501 unless policies do not bind him: "only an administrator can ...". */
extern void bmw_ownership_require_administrator(const char *what);

/* 42704: it does not exist, was deleted, or is not the caller's. */
pg_noreturn extern void bmw_ownership_refuse(int64 endpoint_id);

#endif
