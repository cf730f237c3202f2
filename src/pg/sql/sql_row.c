/*
 * pg/sql/sql_row.c - values into and out of SQL statements.
 *
 * Everything is palloc'd in the current memory context, which the caller resets.
 */
#include "postgres.h"

#include "pg/sql/sql_row.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "pg/sql/interval.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"
#include "utils/xid8.h"

static Datum *array_items(const BmwSqlRow *row, int column, Oid type, bool **nulls, int *length);
static Datum value_of(const BmwSqlRow *row, int column, bool *is_null);
static const char *to_utf8(Datum text, size_t *length);
static char *convert(char *text, int size);

bool
bmw_sql_is_null(const BmwSqlRow *row, int column)
{
	bool is_null;

	(void) value_of(row, column, &is_null);
	return is_null;
}

int64
bmw_sql_int64(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return is_null ? 0 : DatumGetInt64(value);
}

int
bmw_sql_int32(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return is_null ? 0 : DatumGetInt32(value);
}

bool
bmw_sql_bool(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return !is_null && DatumGetBool(value);
}

uint64
bmw_sql_xid8(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return is_null ? 0 : U64FromFullTransactionId(DatumGetFullTransactionId(value));
}

int64
bmw_sql_time(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return is_null ? 0 : bmw_unix_us(DatumGetTimestampTz(value));
}

int64
bmw_sql_due(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	if (is_null)
		return 0;
	return TIMESTAMP_IS_NOEND(DatumGetTimestampTz(value)) ? PG_INT64_MAX
														  : bmw_unix_us(DatumGetTimestampTz(value));
}

int64
bmw_sql_size(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return is_null ? 0 : (int64) toast_raw_datum_size(value) - VARHDRSZ;
}

BmwUuid
bmw_sql_uuid(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);
	BmwUuid id = {{0}};

	if (!is_null)
		memcpy(id.bytes, DatumGetUUIDP(value)->data, UUID_LEN);
	return id;
}

const JsonPath *
bmw_sql_jsonpath(const BmwSqlRow *row, int column)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return is_null ? NULL : DatumGetJsonPathP(value);
}

const char *
bmw_sql_text(const BmwSqlRow *row, int column, size_t *length)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return is_null ? NULL : to_utf8(value, length);
}

const char **
bmw_sql_texts(const BmwSqlRow *row, int column, int *length)
{
	bool *nulls;
	Datum *items = array_items(row, column, TEXTOID, &nulls, length);
	const char **texts = palloc(sizeof(*texts) * Max(*length, 1));

	for (int i = 0; i < *length; i++)
		texts[i] = nulls[i] ? NULL : to_utf8(items[i], NULL);
	return texts;
}

const Interval **
bmw_sql_intervals(const BmwSqlRow *row, int column, int *length)
{
	bool *nulls;
	int items_length;
	Datum *items = array_items(row, column, INTERVALOID, &nulls, &items_length);
	const Interval **intervals = palloc(sizeof(*intervals) * Max(items_length, 1));

	*length = 0;
	for (int i = 0; i < items_length; i++)
		if (!nulls[i])
			intervals[(*length)++] = DatumGetIntervalP(items[i]);
	return intervals;
}

const BmwUuid *
bmw_sql_uuids(const BmwSqlRow *row, int column, size_t *length)
{
	bool *nulls;
	int items_length;
	Datum *items = array_items(row, column, UUIDOID, &nulls, &items_length);
	BmwUuid *ids = items == NULL ? NULL : palloc(sizeof(*ids) * Max(items_length, 1));

	for (int i = 0; i < items_length; i++)
		memcpy(&ids[i], DatumGetUUIDP(items[i]), sizeof(*ids));
	*length = items_length;
	return ids;
}

const Interval *
bmw_sql_interval(const BmwSqlRow *row, int column)
{
	static const Interval none = {0};
	bool is_null;
	Datum value = value_of(row, column, &is_null);

	return is_null ? &none : DatumGetIntervalP(value);
}

size_t
bmw_sql_utf8_length(Datum text)
{
	size_t length;

	to_utf8(text, &length);
	return length;
}

/* The receiver's bytes were made valid UTF-8 before; another encoding may lack a character. */
Datum
bmw_sql_from_utf8(const char *text)
{
	char *ascii;

	if (GetDatabaseEncoding() == PG_UTF8)
		return CStringGetTextDatum(text);
	ascii = pstrdup(text);
	for (char *c = ascii; *c != '\0'; c++)
		if ((unsigned char) *c >= 0x80)
			*c = '?';
	return CStringGetTextDatum(ascii);
}

void
bmw_sql_column_init(BmwSqlColumn *column, Oid type, int capacity)
{
	column->type = type;
	column->length = 0;
	column->capacity = Max(capacity, 1);
	column->values = palloc(sizeof(Datum) * column->capacity);
	column->nulls = palloc(sizeof(bool) * column->capacity);
}

void
bmw_sql_column_add(BmwSqlColumn *column, Datum value)
{
	Assert(column->length < column->capacity);
	column->nulls[column->length] = false;
	column->values[column->length++] = value;
}

void
bmw_sql_column_add_null(BmwSqlColumn *column)
{
	Assert(column->length < column->capacity);
	column->nulls[column->length] = true;
	column->values[column->length++] = (Datum) 0;
}

void
bmw_sql_column_add_uuid(BmwSqlColumn *column, const BmwUuid *id)
{
	bmw_sql_column_add(column, PointerGetDatum(id->bytes));
}

void
bmw_sql_column_add_string(BmwSqlColumn *column, const char *text)
{
	if (text == NULL)
		bmw_sql_column_add_null(column);
	else
		bmw_sql_column_add(column, CStringGetTextDatum(text));
}

void
bmw_sql_column_add_time(BmwSqlColumn *column, int64 unix_us)
{
	if (unix_us == 0)
		bmw_sql_column_add_null(column);
	else
		bmw_sql_column_add(column, TimestampTzGetDatum(bmw_from_unix_us(unix_us)));
}

void
bmw_sql_column_add_interval(BmwSqlColumn *column, int64 us)
{
	Interval *interval;

	if (us == 0)
	{
		bmw_sql_column_add_null(column);
		return;
	}
	interval = palloc0(sizeof(*interval));
	interval->time = us;
	bmw_sql_column_add(column, IntervalPGetDatum(interval));
}

void
bmw_sql_column_add_int32(BmwSqlColumn *column, int value)
{
	if (value == 0)
		bmw_sql_column_add_null(column);
	else
		bmw_sql_column_add(column, Int32GetDatum(value));
}

void
bmw_sql_column_add_text(BmwSqlColumn *column, const char *utf8)
{
	if (utf8 == NULL)
		bmw_sql_column_add_null(column);
	else
		bmw_sql_column_add(column, bmw_sql_from_utf8(utf8));
}

Datum
bmw_sql_column_array(const BmwSqlColumn *column)
{
	int16 length;
	bool is_by_value;
	char alignment;
	int dimensions[1] = {column->length};
	int bounds[1] = {1};

	get_typlenbyvalalign(column->type, &length, &is_by_value, &alignment);
	return PointerGetDatum(construct_md_array(column->values, column->nulls, 1, dimensions, bounds,
											  column->type, length, is_by_value, alignment));
}

Datum
bmw_sql_uuid_array(const BmwUuid *ids, int length)
{
	BmwSqlColumn column;

	bmw_sql_column_init(&column, UUIDOID, length);
	for (int i = 0; i < length; i++)
		bmw_sql_column_add_uuid(&column, &ids[i]);
	return bmw_sql_column_array(&column);
}

/* A column that is null is an empty array. */
static Datum *
array_items(const BmwSqlRow *row, int column, Oid type, bool **nulls, int *length)
{
	bool is_null;
	Datum value = value_of(row, column, &is_null);
	int16 size;
	bool is_by_value;
	char alignment;
	Datum *items = NULL;

	*length = 0;
	if (is_null)
		return NULL;
	get_typlenbyvalalign(type, &size, &is_by_value, &alignment);
	deconstruct_array(DatumGetArrayTypeP(value), type, size, is_by_value, alignment, &items, nulls,
					  length);
	return items;
}

static Datum
value_of(const BmwSqlRow *row, int column, bool *is_null)
{
	Assert(column >= 1 && column <= row->descriptor->natts);
	return heap_getattr(row->tuple, column, row->descriptor, is_null);
}

static const char *
to_utf8(Datum text, size_t *length)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(text);
	int size = VARSIZE_ANY_EXHDR(value);
	char *copy = palloc(size + 1);

	memcpy(copy, VARDATA_ANY(value), size);
	copy[size] = '\0';
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		copy = convert(copy, size);
		size = (int) strlen(copy);
	}
	if (length != NULL)
		*length = (size_t) size;
	return copy;
}

/*
 * Never raises: a text that cannot be expressed in UTF-8 (a SQL_ASCII database
 * takes any bytes) must not stop the others. Its non-ASCII bytes become '?'.
 */
static char *
convert(char *text, int size)
{
	Oid conversion = FindDefaultConversionProc(GetDatabaseEncoding(), PG_UTF8);
	Size room = (Size) size * MAX_CONVERSION_GROWTH + 1;
	char *utf8 = palloc(room);

	if (GetDatabaseEncoding() == PG_SQL_ASCII && pg_verify_mbstr(PG_UTF8, text, size, true))
		return text;
	if (OidIsValid(conversion) &&
		pg_do_encoding_conversion_buf(conversion, GetDatabaseEncoding(), PG_UTF8,
									  (unsigned char *) text, size, (unsigned char *) utf8,
									  (int) Min(room, INT_MAX), true) == size)
		return utf8;
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c >= 0x80)
			*c = '?';
	return text;
}
