/*
 * pg/capture_plan.h - a capture trigger's arguments, made ready to be applied to rows.
 *
 * The arguments of bm_webhook.capture() are texts of the form name=value:
 *   type           template of the event type; required
 *   application, channel, message_id    templates
 *   occurred_at    {column} of type timestamptz, timestamp or date
 *   columns        text[] literal: what goes into data; absent: every column
 *   function       qualified name of a function (row type) -> jsonb, which makes data;
 *                  {data.key} in a template is then a string in that object
 *   when           statement level: condition on NEW and OLD, the names of the transition tables' rows
 *   key            statement level, UPDATE: text[] literal of the columns that pair NEW with OLD
 */
#ifndef BMW_PG_CAPTURE_PLAN_H
#define BMW_PG_CAPTURE_PLAN_H

#include "postgres.h"

#include "access/tupconvert.h"
#include "fmgr.h"
#include "utils/rel.h"

/* The arguments as they are written; NULL where absent. */
typedef struct BmwCaptureArguments
{
	Oid watched; /* the table that watch() was called for; set by the caller */
	const char *type;
	const char *application;
	const char *channel;
	const char *message_id;
	const char *occurred_at;
	const char *columns;
	const char *function;
	const char *when;
	const char *key;
} BmwCaptureArguments;

/* A constant, the text of a column, or that of a member of what the function returns. */
typedef struct BmwCapturePart
{
	const char *constant; /* NULL for the others */
	const char *key;	  /* of the function's result; NULL for a column */
	int index;			  /* of the column, from 0 */
	Oid type;
	FmgrInfo output;
} BmwCapturePart;

typedef struct BmwCaptureTemplate
{
	BmwCapturePart *parts;
	int length; /* 0: not set */
} BmwCaptureTemplate;

typedef struct BmwCapturePlan
{
	BmwCaptureTemplate type;
	BmwCaptureTemplate application;
	BmwCaptureTemplate channel;
	BmwCaptureTemplate message_id;
	int occurred_at; /* index of the column, -1: not set */
	Oid occurred_at_type;
	TupleDesc data_desc; /* blessed record type of the chosen columns */
	int *data_indexes;	 /* of the columns that data_desc is made of */
	bool has_function;	 /* then data_desc and data_indexes are not set */
	FmgrInfo function;
	TupleDesc function_desc;		  /* the row type that it takes */
	TupleConversionMap *function_map; /* NULL: rows have that shape already */
} BmwCapturePlan;

/* Ereports 39P01 for an argument that is unknown, doubled or malformed, or a missing type. */
extern void bmw_capture_arguments_parse(char **arguments, int length, BmwCaptureArguments *out);

/*
 * Makes a plan for rows of the shape `desc` of `relation`, in the current
 * memory context, which must live as long as the plan. Ereports 42703 unknown
 * column, 42804 wrong type, 42883 no such function, 22023 malformed template or
 * invalid constant.
 */
extern BmwCapturePlan *bmw_capture_plan_create(const BmwCaptureArguments *arguments,
											   Relation relation, TupleDesc desc);

/* The index of a live column in desc; ereports 42703. */
extern int bmw_capture_column(Relation relation, TupleDesc desc, const char *name);

/* The elements of a text[] literal, none of them NULL; ereports 22023. */
extern int bmw_capture_names(const char *literal, char ***names);
extern int bmw_capture_texts(Datum array, char ***texts); /* the same of a text[] value */

#endif
