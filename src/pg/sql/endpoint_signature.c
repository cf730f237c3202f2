/*
 * pg/sql/endpoint_signature.c - a further header with a signature: what may be in these columns.
 */
#include "postgres.h"

#include "pg/sql/endpoint_signature.h"

#include "core/header.h"
#include "core/scheme.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

static const char hint[] = "The schemes are sha256, hex and stripe; both columns are set, or none.";

static void check_name(const BmwRow *row, const char *name);
static bool has_header(Jsonb *headers, const char *name);

void
bmw_endpoint_signature_check(const BmwRow *row)
{
	BmwScheme scheme;

	if (!bmw_row_has_column(row, "signature_scheme") ||
		(!bmw_row_has_changed(row, "signature_header") &&
		 !bmw_row_has_changed(row, "signature_scheme") && !bmw_row_has_changed(row, "headers")))
		return;
	if (bmw_row_is_null(row, "signature_header") != bmw_row_is_null(row, "signature_scheme"))
		bmw_row_refuse("\"signature_header\" and \"signature_scheme\" belong together",
					   "One of them is null.", hint);
	if (bmw_row_is_null(row, "signature_header"))
		return;
	if (!bmw_scheme_find(TextDatumGetCString(bmw_row_value(row, "signature_scheme")), &scheme))
		bmw_row_refuse("invalid \"signature_scheme\"", "There is no such scheme.", hint);
	check_name(row, TextDatumGetCString(bmw_row_value(row, "signature_header")));
}

static void
check_name(const BmwRow *row, const char *name)
{
	BmwStatus status = bmw_header_check(name, strlen(name), "", 0);

	if (status != BMW_OK || strlen(name) > NAMEDATALEN)
		bmw_row_refuse("invalid \"signature_header\"",
					   status != BMW_OK ? bmw_status_text(status) : "The name is too long.",
					   "Headers of HTTP itself and webhook-* are set by the extension.");
	if (has_header(DatumGetJsonbP(bmw_row_value(row, "headers")), name))
		bmw_row_refuse("duplicate header",
					   "\"headers\" has one of the name of \"signature_header\".",
					   "Take it out of \"headers\".");
}

static bool
has_header(Jsonb *headers, const char *name)
{
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue key;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
		if (token == WJB_KEY && key.val.string.len == (int) strlen(name) &&
			pg_strncasecmp(key.val.string.val, name, key.val.string.len) == 0)
			return true;
	return false;
}
