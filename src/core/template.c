/*
 * core/template.c - text with columns in braces: "message.{status}".
 *
 * Only parsed here; the values come from a row, which core knows nothing of.
 * Doubled braces are undone at parsing, so a literal part is ready for output.
 * Neighbouring literal text is one part. Every part owns its text.
 */
#include "core/template.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 63

static BmwStatus parse_parts(const char *text, BmwTemplate *out);
static BmwStatus parse_column(const char **cursor, BmwTemplatePart *part);
static BmwStatus parse_literal(const char **cursor, BmwTemplatePart *part);
static size_t undouble(char *text);
static bool is_brace(char c);
static bool is_literal_at(const char *cursor);
static BmwStatus fill_part(BmwTemplatePart *part, const char *text, size_t len);

BmwStatus
bmw_template_parse(const char *text, BmwTemplate *out)
{
	*out = (BmwTemplate){0};
	if (text[0] == '\0')
		return BMW_ERROR_EMPTY;

	/* Each part takes at least one byte of the text. */
	out->parts = calloc(strlen(text), sizeof(BmwTemplatePart));
	if (out->parts == NULL)
		return BMW_ERROR_MEMORY;

	const BmwStatus status = parse_parts(text, out);

	if (status != BMW_OK)
		bmw_template_free(out);
	return status;
}

void
bmw_template_free(BmwTemplate *template)
{
	for (int i = 0; i < template->length; i++)
		free(template->parts[i].text);
	free(template->parts);
	*template = (BmwTemplate){0};
}

static BmwStatus
parse_parts(const char *text, BmwTemplate *out)
{
	const char *cursor = text;

	while (*cursor != '\0')
	{
		BmwTemplatePart *part = &out->parts[out->length];
		const BmwStatus status =
			is_literal_at(cursor) ? parse_literal(&cursor, part) : parse_column(&cursor, part);

		if (status != BMW_OK)
			return status;
		out->length++;
	}
	return BMW_OK;
}

/* At a lone brace: either a column begins, or the text is wrong. */
static BmwStatus
parse_column(const char **cursor, BmwTemplatePart *part)
{
	if (**cursor != '{')
		return BMW_ERROR_SYNTAX;

	const char *name = *cursor + 1;
	const size_t len = strcspn(name, "{}");

	if (name[len] != '}' || len == 0 || len > NAME_MAX_BYTES)
		return BMW_ERROR_SYNTAX;
	part->is_column = true;
	*cursor = name + len + 1;
	return fill_part(part, name, len);
}

static BmwStatus
parse_literal(const char **cursor, BmwTemplatePart *part)
{
	const char *start = *cursor;
	size_t span = 0;

	while (start[span] != '\0' && is_literal_at(start + span))
		span += is_brace(start[span]) ? 2 : 1;
	*cursor = start + span;

	const BmwStatus status = fill_part(part, start, span);

	if (status == BMW_OK)
		part->len = undouble(part->text);
	return status;
}

/* One brace for two, in place; the new length. */
static size_t
undouble(char *text)
{
	size_t len = 0;

	for (const char *c = text; *c != '\0'; c += is_brace(*c) ? 2 : 1)
		text[len++] = *c;
	text[len] = '\0';
	return len;
}

static bool
is_brace(char c)
{
	return c == '{' || c == '}';
}

/* An ordinary byte or a doubled brace. */
static bool
is_literal_at(const char *cursor)
{
	return !is_brace(*cursor) || cursor[1] == cursor[0];
}

static BmwStatus
fill_part(BmwTemplatePart *part, const char *text, size_t len)
{
	part->text = malloc(len + 1);
	if (part->text == NULL)
		return BMW_ERROR_MEMORY;
	memcpy(part->text, text, len);
	part->text[len] = '\0';
	part->len = len;
	return BMW_OK;
}
