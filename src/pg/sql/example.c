/*
 * pg/sql/example.c - the catalogue's examples of event types.
 */
#include "postgres.h"

#include "pg/sql/example.h"

#include "catalog/pg_type.h"
#include "pg/sql/identity.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"

/* An example is a whole body. */
static BmwStatement find = {
	"SELECT t.example OPERATOR(pg_catalog.->>) 'channel', t.example OPERATOR(pg_catalog.->>) 'message_id',"
	" t.example OPERATOR(pg_catalog.->>) 'data' FROM bm_webhook.event_type t"
	" WHERE t.name OPERATOR(pg_catalog.=) $1"
	" AND pg_catalog.jsonb_typeof(t.example OPERATOR(pg_catalog.->) 'data') OPERATOR(pg_catalog.=) 'object'",
	1,
	{TEXTOID}};

static char *column(int number, MemoryContext context);

bool
bmw_example_find(BmwNewEvent *event)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum values[1] = {CStringGetTextDatum(event->type)};
	BmwIdentity before = bmw_identity_become(bmw_event_store_owner());
	bool is_found;

	SPI_connect();
	is_found = bmw_statement_run(&find, values) > 0;
	if (is_found)
	{
		event->channel = column(1, caller);
		event->message_id = column(2, caller);
		event->data = column(3, caller);
	}
	SPI_finish();
	bmw_identity_return(before);
	return is_found;
}

static char *
column(int number, MemoryContext context)
{
	char *text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number);

	return text == NULL ? NULL : MemoryContextStrdup(context, text);
}
