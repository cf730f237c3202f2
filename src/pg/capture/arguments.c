/*
 * pg/capture/arguments.c - the arguments of a capture trigger, as they are written.
 */
#include "postgres.h"

#include "pg/capture/arguments.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

static const char **argument_slot(BmwCaptureArguments *arguments, const char *argument,
								  size_t name_len);
static void refuse_fields(const BmwCaptureArguments *arguments);

void
bmw_capture_arguments_parse(char **arguments, int length, BmwCaptureArguments *out)
{
	memset(out, 0, sizeof(*out));
	for (int i = 0; i < length; i++)
	{
		const char *equals = strchr(arguments[i], '=');
		const char **slot =
			equals == NULL ? NULL : argument_slot(out, arguments[i], equals - arguments[i]);

		if (slot == NULL || *slot != NULL)
			ereport(
				ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				slot == NULL
					? errmsg("unknown argument \"%s\" of a capture trigger", arguments[i])
					: errmsg("argument \"%s\" of a capture trigger is given twice", arguments[i]),
				errhint("Use bm_webhook.watch() to create capture triggers."));
		*slot = equals + 1;
	}
	if (out->message == NULL)
		refuse_fields(out);
	if (out->old != NULL && strcmp(out->old, "true") != 0)
		bmw_capture_misused("argument \"old\" of a capture trigger must be true");
	if (out->type == NULL)
		ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("a capture trigger needs an argument \"type=...\""),
				errhint("Use bm_webhook.watch() to create capture triggers."));
}

static const char **
argument_slot(BmwCaptureArguments *arguments, const char *argument, size_t name_len)
{
	const struct
	{
		const char *name;
		const char **value;
	} slots[] = {
		{"type", &arguments->type},
		{"application", &arguments->application},
		{"channel", &arguments->channel},
		{"message_id", &arguments->message_id},
		{"occurred_at", &arguments->occurred_at},
		{"columns", &arguments->columns},
		{"function", &arguments->function},
		{"old", &arguments->old},
		{"message", &arguments->message},
		{"when", &arguments->when},
		{"key", &arguments->key},
	};

	for (size_t i = 0; i < lengthof(slots); i++)
		if (strlen(slots[i].name) == name_len && strncmp(slots[i].name, argument, name_len) == 0)
			return slots[i].value;

	const BmwMessageField *field = bmw_message_field_find(pnstrdup(argument, name_len));

	return field == NULL ? NULL : &arguments->fields[field->id];
}

static void
refuse_fields(const BmwCaptureArguments *arguments)
{
	for (int i = 0; i < BMW_MESSAGE_FIELDS; i++)
		if (arguments->fields[i] != NULL)
			ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
					errmsg("argument \"%s\" of a capture trigger is for messages",
						   bmw_message_fields[i].name),
					errhint("Use bm_webhook.watch_messages() or watch_replies()."));
}

int
bmw_capture_names(const char *literal, char ***names)
{
	return bmw_capture_texts(OidInputFunctionCall(F_ARRAY_IN, (char *) literal, TEXTOID, -1),
							 names);
}

int
bmw_capture_texts(Datum array, char ***texts)
{
	Datum *elements;
	bool *nulls;
	int length;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &length);
	*texts = palloc(sizeof(char *) * Max(length, 1));
	for (int i = 0; i < length; i++)
	{
		if (nulls[i])
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("a column name must not be null"));
		(*texts)[i] = TextDatumGetCString(elements[i]);
	}
	if (length == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a list of columns must not be empty"),
				errhint("Leave it out for every column."));
	return length;
}

void
bmw_capture_misused(const char *message)
{
	ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED), errmsg("%s", message),
			errhint("Use bm_webhook.watch() to create capture triggers."));
}
