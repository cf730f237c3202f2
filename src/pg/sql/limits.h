/*
 * pg/sql/limits.h - how much an application may have registered.
 *
 * The columns max_* of bm_webhook.application; null is no limit. Whoever may not use the
 * application learns nothing of it here: policies and triggers refuse him afterwards.
 */
#ifndef BMW_PG_SQL_LIMITS_H
#define BMW_PG_SQL_LIMITS_H

#include "pg/sql/row.h"

/* Of a row of application: are its limits in range? 22023 */
extern void bmw_limits_check_application(BmwRow *row);
/* Of a row of endpoint: may its application have it? 54000; not asked of one that is restored. */
extern void bmw_limits_check_endpoint(const BmwRow *row);
/* How many secrets the endpoint may have. */
extern int bmw_limits_secrets(int64 endpoint_id, Oid owner);

#endif
