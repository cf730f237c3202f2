/*
 * pg/capture/plan.h - a capture trigger's arguments, made ready to be applied to rows.
 */
#ifndef BMW_PG_CAPTURE_PLAN_H
#define BMW_PG_CAPTURE_PLAN_H

#include "postgres.h"

#include "access/tupconvert.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "pg/capture/arguments.h"
#include "pg/capture/message_map.h"
#include "utils/rel.h"

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
	List *relations;	 /* OIDs of what data_desc depends on besides the table itself */
	bool has_function;	 /* then data_desc and data_indexes are not set */
	FmgrInfo function;
	TupleDesc function_desc;		  /* the row type that it takes */
	TupleConversionMap *function_map; /* NULL: rows have that shape already */
	BmwMessageMap *message;			  /* NULL: rows are no messages */
	int *sized;		/* columns whose text may be too long: of the data, then of the names */
	int sized_data; /* how many are of the data */
	int sized_length;
	bool with_old;	   /* the data has the row before the change beside that after it */
	bool can_raise;	   /* reading the columns may raise an error: some type is a user's */
	const char *fault; /* why rows cannot be captured; then only message_id is set */
} BmwCapturePlan;

/*
 * Makes a plan for rows of the shape `desc` of `relation`, in the current
 * memory context, which must live as long as the plan. Ereports 42703 unknown
 * column, 42804 wrong type, 42883 no such function, 42501 code that is not of
 * the table's owner, 22023 malformed template or invalid constant.
 */
extern BmwCapturePlan *bmw_capture_plan_create(const BmwCaptureArguments *arguments,
											   Relation relation, TupleDesc desc);

/* A plan for rows that cannot be captured any more, which names them if it can. */
extern BmwCapturePlan *bmw_capture_plan_create_broken(const BmwCaptureArguments *arguments,
													  Relation relation, TupleDesc desc,
													  const char *fault);

/* Tells of constants that are called like a column. */
extern void bmw_capture_plan_notice(const BmwCapturePlan *plan, Relation relation);

/* The index of a live column in desc; ereports 42703. */
extern int bmw_capture_column(Relation relation, TupleDesc desc, const char *name);

#endif
