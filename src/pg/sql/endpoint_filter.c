/*
 * pg/sql/endpoint_filter.c - which paths an endpoint may have as its filter.
 *
 * A predicate, evaluated for each event by a dispatcher that serves everybody. A timer
 * breaks it off (filter.c), but only where the server's code looks for interrupts: it does
 * so at each step of a path, and not while it compares the items of two sequences
 * with each other, matches a regular expression, or multiplies and divides numbers of
 * a hundred thousand digits. So that no single step takes long, none of these can be in
 * a filter; what is left is linear in the size of the body.
 */
#include "postgres.h"

#include "pg/sql/endpoint_filter.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"
#include "utils/numeric.h"

#define MAX_BYTES 1024
#define MAX_DIGITS 100

#define INVALID "invalid \"filter\""

static bool is_predicate(const JsonPathItem *item);
static void check_item(JsonPathItem *item, bool is_lax);
static void check_operands(JsonPathItem *item, bool is_lax);
static void check_comparison(JsonPathItem *left, JsonPathItem *right, bool is_lax);
static void check_product(JsonPathItem *left, JsonPathItem *right);
static void check_argument(JsonPathItem *item, bool is_lax);
static void check_subscripts(JsonPathItem *item, bool is_lax);
static void check_number(JsonPathItem *item);
static bool is_number(JsonPathItem *item);
static bool is_single(JsonPathItem *item, bool is_lax);
static bool is_scalar(JsonPathItem *item);
static bool is_single_step(JsonPathItem *item, bool unwraps);

void
bmw_endpoint_filter_check(BmwRow *row, const char *column)
{
	JsonPathItem item;
	JsonPath *path;

	if (bmw_row_is_null(row, column))
		return;
	path = DatumGetJsonPathP(bmw_row_value(row, column));
	if (strlen(DatumGetCString(DirectFunctionCall1(jsonpath_out, PointerGetDatum(path)))) >
		MAX_BYTES)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("\"filter\" must not be longer than %d bytes", MAX_BYTES),
				errhint("Several endpoints may have the same URL and different filters."));
	jspInit(&item, path);
	if (!is_predicate(&item))
		bmw_row_refuse(INVALID, "It must be a predicate, which is true or false.",
					   "Write $.data.status == \"failed\", or exists($.data.error); a path alone "
					   "selects, and is no predicate.");
	check_item(&item, (path->header & JSONPATH_LAX) != 0);
}

static bool
is_predicate(const JsonPathItem *item)
{
	switch (item->type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			return !jspHasNext(item);
		default:
			return false;
	}
}

/* With all that it is made of, and what follows it. */
static void
check_item(JsonPathItem *item, bool is_lax)
{
	JsonPathItem next;

	check_stack_depth();
	switch (item->type)
	{
		case jpiLikeRegex:
			bmw_row_refuse(INVALID, "It must not have like_regex.",
						   "Use == or starts with: how long a regular expression takes cannot be "
						   "bounded.");
		case jpiAny:
			bmw_row_refuse(INVALID, "It must not have .**, which visits the whole body.",
						   "Name the members on the way, or use .* for one of them.");
		case jpiVariable:
			bmw_row_refuse(INVALID, "It must not have variables.",
						   "Nothing gives them a value: write the value itself.");
		case jpiNumeric:
			check_number(item);
			break;
		case jpiIndexArray:
			check_subscripts(item, is_lax);
			break;
		case jpiNot:
		case jpiIsUnknown:
		case jpiExists:
		case jpiPlus:
		case jpiMinus:
		case jpiFilter:
			check_argument(item, is_lax);
			break;
		case jpiAnd:
		case jpiOr:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiStartsWith:
		case jpiAdd:
		case jpiSub:
		case jpiMul:
		case jpiDiv:
		case jpiMod:
			check_operands(item, is_lax);
			break;
		default: /* it has no parts that are paths */
			break;
	}
	if (jspGetNext(item, &next))
		check_item(&next, is_lax);
}

static void
check_operands(JsonPathItem *item, bool is_lax)
{
	JsonPathItem left;
	JsonPathItem right;

	jspGetLeftArg(item, &left);
	jspGetRightArg(item, &right);
	check_item(&left, is_lax);
	check_item(&right, is_lax);
	if (item->type == jpiMul || item->type == jpiDiv || item->type == jpiMod)
		check_product(&left, &right);
	else if (item->type >= jpiEqual && item->type <= jpiGreaterOrEqual)
		check_comparison(&left, &right, is_lax);
}

/* Each item of one side is compared with each of the other. */
static void
check_comparison(JsonPathItem *left, JsonPathItem *right, bool is_lax)
{
	if (!is_single(left, is_lax) && !is_single(right, is_lax))
		bmw_row_refuse(
			INVALID, "A comparison must not have many items on both sides.",
			"Compare with a literal; or, in strict mode, two paths of which one has neither [*] nor "
			".*: strict $.data.from.address == $.data.to.address.");
}

static void
check_product(JsonPathItem *left, JsonPathItem *right)
{
	if (!is_number(left) && !is_number(right))
		bmw_row_refuse(INVALID, "An operand of *, / and % must be a number that is written out.",
					   "How long it takes to multiply numbers of any length cannot be bounded.");
}

static void
check_argument(JsonPathItem *item, bool is_lax)
{
	JsonPathItem argument;

	jspGetArg(item, &argument);
	check_item(&argument, is_lax);
}

static void
check_subscripts(JsonPathItem *item, bool is_lax)
{
	for (int i = 0; i < item->content.array.nelems; i++)
	{
		JsonPathItem from;
		JsonPathItem to;
		bool has_to = jspGetArraySubscript(item, &from, &to, i);

		check_item(&from, is_lax);
		if (has_to)
			check_item(&to, is_lax);
	}
}

static void
check_number(JsonPathItem *item)
{
	Datum number = NumericGetDatum(jspGetNumeric(item));

	if (strlen(DatumGetCString(DirectFunctionCall1(numeric_out, number))) > MAX_DIGITS)
		bmw_row_refuse(INVALID, "A number in it has more than 100 digits.", "Write a smaller one.");
}

static bool
is_number(JsonPathItem *item)
{
	JsonPathItem argument;

	if (jspHasNext(item))
		return false;
	if (item->type != jpiPlus && item->type != jpiMinus)
		return item->type == jpiNumeric;
	jspGetArg(item, &argument);
	return is_number(&argument);
}

/*
 * One item at most, whatever the body is? In lax mode arrays that a path meets are unwrapped; what
 * is written out or computed is none.
 */
static bool
is_single(JsonPathItem *item, bool is_lax)
{
	JsonPathItem step = *item;
	JsonPathItem next;
	bool unwraps = is_lax && !is_scalar(item);

	while (is_single_step(&step, unwraps))
	{
		if (!jspGetNext(&step, &next))
			return true;
		step = next;
	}
	return false;
}

static bool
is_scalar(JsonPathItem *item)
{
	JsonPathItem argument;

	switch (item->type)
	{
		case jpiNull:
		case jpiString:
		case jpiNumeric:
		case jpiBool:
		case jpiAdd:
		case jpiSub:
		case jpiMul:
		case jpiDiv:
		case jpiMod:
			return true;
		case jpiPlus:
		case jpiMinus:
			jspGetArg(item, &argument);
			return is_scalar(&argument) && is_single(&argument, true);
		default:
			return false;
	}
}

static bool
is_single_step(JsonPathItem *item, bool unwraps)
{
	JsonPathItem from;
	JsonPathItem to;

	switch (item->type)
	{
		case jpiRoot:
		case jpiCurrent:
		case jpiKey:
		case jpiFilter:
		case jpiType:
		case jpiSize:
		case jpiAbs:
		case jpiFloor:
		case jpiCeiling:
		case jpiDouble:
		case jpiDatetime:
			return !unwraps;
		case jpiIndexArray:
			return !unwraps && item->content.array.nelems == 1 &&
				   !jspGetArraySubscript(item, &from, &to, 0);
		default:
			return is_scalar(item);
	}
}
