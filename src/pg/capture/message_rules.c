/*
 * pg/capture/message_rules.c - what strings and numbers in a message must look like.
 *
 * By hand and not by regular expressions of PostgreSQL: they run for each row
 * that changes. Each rule stands beside the pattern that the schema shows.
 */
#include "postgres.h"

#include "pg/capture/message_rules.h"

#include "core/name.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define DIGITS "0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LETTERS UPPER "abcdefghijklmnopqrstuvwxyz"
#define PLAIN_JSON_MAX_BYTES 16384
#define PLAIN_JSON_MAX_DEPTH 64 /* objects and arrays altogether: an upper bound, and cheap */
#define SPACES " \t\n\v\f\r"

static bool is_amount(const JsonbValue *value);
static bool is_bytes(const JsonbValue *value);
static bool is_currency(const JsonbValue *value);
static bool is_latitude(const JsonbValue *value);
static bool is_longitude(const JsonbValue *value);
static bool is_media_type(const JsonbValue *value);
static bool is_message_id(const JsonbValue *value);
static bool is_url(const JsonbValue *value);
static const char *text_of(const JsonbValue *value);
static bool is_within(const JsonbValue *value, double limit);

const BmwRule bmw_rule_amount = {is_amount, "is no decimal number", NULL,
								 "^-?(0|[1-9][0-9]*)(\\\\.[0-9]+)?$"};
const BmwRule bmw_rule_bytes = {is_bytes, "is no number of bytes",
								"Give a whole number, or leave it out.", NULL};
const BmwRule bmw_rule_currency = {is_currency, "is no ISO 4217 code", NULL, "^[A-Z]{3}$"};
const BmwRule bmw_rule_latitude = {is_latitude, "is out of range",
								   "Latitude is -90 to 90, longitude -180 to 180 degrees.", NULL};
const BmwRule bmw_rule_longitude = {is_longitude, "is out of range",
									"Latitude is -90 to 90, longitude -180 to 180 degrees.", NULL};
const BmwRule bmw_rule_media_type = {is_media_type, "is no media type", "Such as image/jpeg.",
									 NULL};
const BmwRule bmw_rule_message_id = {is_message_id, "is no message id", NULL, NULL,
									 BMW_NAME_MAX_BYTES};
const BmwRule bmw_rule_url = {is_url, "is no URL", "It begins with https:// or http://.",
							  "^https?://"};

const char bmw_message_address_pattern[] =
	"^(\\\\+[1-9][0-9]{6,14}|[0-9]{3,8}|[0-9]*[A-Za-z]([0-9A-Za-z ._@/&-]*[0-9A-Za-z])?)$";

bool
bmw_message_is_address(const char *text)
{
	size_t len = strlen(text);
	size_t digits = strspn(text, DIGITS);

	if (len > BMW_ADDRESS_MAX)
		return false;
	if (text[0] == '+')
		return text[1] != '0' && len >= 8 && len <= 16 && strspn(text + 1, DIGITS) == len - 1;
	if (digits == len)
		return len >= 3 && len <= 8;
	return strchr(LETTERS, text[digits]) != NULL && strspn(text, DIGITS LETTERS " ._@/&-") == len &&
		   strchr(DIGITS LETTERS, text[len - 1]) != NULL;
}

bool
bmw_rule_has_control(const char *text, int len)
{
	const unsigned char *bytes = (const unsigned char *) text;

	for (int i = 0; i < len; i++)
		if (bytes[i] < 0x20 || bytes[i] == 0x7F ||
			(bytes[i] == 0xC2 && bytes[i + 1] < 0xA0 && GetDatabaseEncoding() == PG_UTF8))
			return true;
	return false;
}

bool
bmw_rule_is_plain_json(const char *text, int len)
{
	bool in_string = false;
	int depth = 0;

	if (len > PLAIN_JSON_MAX_BYTES)
		return false;
	for (int i = 0; i < len; i++)
		switch (text[i])
		{
			case '\\': /* only in a string; the next character is part of it */
				if (text[++i] == 'u')
					return false;
				break;
			case '"':
				in_string = !in_string;
				break;
			case '[':
			case '{':
				depth += !in_string;
				break;
			case 'e':
			case 'E':
				if (!in_string && i > 0 && strchr(DIGITS ".", text[i - 1]) != NULL)
					return false;
				break;
		}
	return depth <= PLAIN_JSON_MAX_DEPTH;
}

/* At most 16 digits before the point, and 15 behind. */
static bool
is_amount(const JsonbValue *value)
{
	const char *text = text_of(value);

	text += text[0] == '-';

	size_t whole = strspn(text, DIGITS);

	if (whole < 1 || whole > 16 || (text[0] == '0' && whole > 1))
		return false;
	if (text[whole] == '\0')
		return true;

	size_t fraction = strspn(text + whole + 1, DIGITS);

	return text[whole] == '.' && fraction >= 1 && fraction <= 15 &&
		   text[whole + 1 + fraction] == '\0';
}

static bool
is_bytes(const JsonbValue *value)
{
	Datum number = NumericGetDatum(value->val.numeric);
	Datum floor = DirectFunctionCall1(numeric_floor, number);

	return DatumGetBool(DirectFunctionCall2(numeric_eq, number, floor)) &&
		   DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, number)) >= 0;
}

static bool
is_currency(const JsonbValue *value)
{
	return value->val.string.len == 3 && strspn(text_of(value), UPPER) == 3;
}

static bool
is_latitude(const JsonbValue *value)
{
	return is_within(value, 90);
}

static bool
is_longitude(const JsonbValue *value)
{
	return is_within(value, 180);
}

/* type/subtype, perhaps with parameters */
static bool
is_media_type(const JsonbValue *value)
{
	static const char token[] = DIGITS LETTERS "!#$&^_.+-";
	const char *text = text_of(value);
	size_t type = strspn(text, token);

	if (type == 0 || text[type] != '/')
		return false;
	text += type + 1;

	size_t subtype = strspn(text, token);

	text += subtype;
	return subtype > 0 && (text[0] == '\0' || text[strspn(text, " ")] == ';');
}

static bool
is_message_id(const JsonbValue *value)
{
	return value->val.string.len <= BMW_NAME_MAX_BYTES &&
		   !bmw_rule_has_control(text_of(value), value->val.string.len);
}

static bool
is_url(const JsonbValue *value)
{
	const char *text = text_of(value);
	int scheme = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;

	return scheme > 0 && text[scheme] != '\0' && strpbrk(text, SPACES) == NULL;
}

static const char *
text_of(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* As a float: what is beyond its range is beyond the limit. */
static bool
is_within(const JsonbValue *value, double limit)
{
	double number = DatumGetFloat8(
		DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));

	return number >= -limit && number <= limit;
}
