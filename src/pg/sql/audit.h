/*
 * pg/sql/audit.h - who has created, changed and deleted endpoints, applications and secrets.
 *
 * What is written directly is recorded by a trigger; a function that acts as the owner of the log records
 * itself what it does, because only it knows for whom.
 */
#ifndef BMW_PG_SQL_AUDIT_H
#define BMW_PG_SQL_AUDIT_H

#include "postgres.h"

#include "pg/sql/sql_row.h"

/* One was deleted: of this endpoint and application, the first two columns. As the owner of the log, connected to SPI. */
extern void bmw_audit_deletion(const char *subject, const BmwSqlRow *row, Datum acting_as);

#endif
