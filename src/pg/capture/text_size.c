/*
 * pg/capture/text_size.c - how long would the text of a value be?
 *
 * Values that hold others are walked through, and the walk ends as soon as the
 * limit is passed. Only a number is ever written, one at a time, to be counted.
 */
#include "postgres.h"

#include "pg/capture/text_size.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/*
 * An element of an array or row takes so many times its text at most: so many
 * bytes have more text than the limit, and need not be read to know that.
 */
#define BYTES_OF_TEXT 64

static int64 size_of_array(Datum value, Oid element, int64 limit);
static int64 size_of_row(Datum value, int64 limit);
static int64 size_of_number(Datum number);

int64
bmw_text_size(Datum value, Oid type, int64 limit)
{
	Oid base = getBaseType(type);

	if (get_typlen(base) != -1)
		return 1;

	int64 stored = (int64) toast_raw_datum_size(value) - VARHDRSZ;
	Oid element = get_element_type(base);

	switch (base)
	{
		case NUMERICOID:
			return size_of_number(value);
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
		case XMLOID:
		case BYTEAOID:
			return stored;
	}
	if (stored > BYTES_OF_TEXT * limit)
		return limit + 1;
	if (base == JSONBOID)
		return bmw_text_size_jsonb(DatumGetJsonbP(value), limit);
	if (OidIsValid(element))
		return size_of_array(value, element, limit);
	return type_is_rowtype(base) ? size_of_row(value, limit) : 1;
}

int64
bmw_text_size_jsonb(Jsonb *value, int64 limit)
{
	JsonbIterator *iterator = JsonbIteratorInit(&value->root);
	JsonbIteratorToken token;
	JsonbValue item;
	int64 size = 0;

	while (size <= limit && (token = JsonbIteratorNext(&iterator, &item, false)) != WJB_DONE)
	{
		size++; /* a brace, a comma, a colon */
		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;
		if (item.type == jbvString)
			size += item.val.string.len;
		else if (item.type == jbvNumeric)
			size += size_of_number(NumericGetDatum(item.val.numeric));
	}
	return size;
}

static int64
size_of_array(Datum value, Oid element, int64 limit)
{
	ArrayIterator iterator = array_create_iterator(DatumGetArrayTypeP(value), 0, NULL);
	Datum item;
	bool is_null;
	int64 size = 0;

	while (size <= limit && array_iterate(iterator, &item, &is_null))
		size += 1 + (is_null ? 4 : bmw_text_size(item, element, limit - size));
	array_free_iterator(iterator);
	return size;
}

static int64
size_of_row(Datum value, int64 limit)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	int64 size = 0;

	for (int i = 0; i < desc->natts && size <= limit; i++)
	{
		bool is_null;
		Datum item = GetAttributeByNum(row, i + 1, &is_null);

		if (!is_null)
			size += 1 + bmw_text_size(item, TupleDescAttr(desc, i)->atttypid, limit - size);
	}
	ReleaseTupleDesc(desc);
	return size;
}

static int64
size_of_number(Datum number)
{
	char *text = DatumGetCString(DirectFunctionCall1(numeric_out, number));
	int64 size = strlen(text);

	pfree(text);
	return size;
}
