/*
 * core/template.h - text with columns in braces: "message.{status}".
 *
 * {name} stands for a column's value, {{ and }} for a brace. A name is any
 * text without braces, at most 63 bytes, not empty.
 */
#ifndef BMW_CORE_TEMPLATE_H
#define BMW_CORE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

typedef struct BmwTemplatePart
{
	bool is_column;
	char *text; /* 0-terminated: the literal, or the column's name */
	size_t len;
} BmwTemplatePart;

typedef struct BmwTemplate
{
	BmwTemplatePart *parts; /* malloc'd */
	int length;
} BmwTemplate;

/* BMW_ERROR_SYNTAX (lone brace, empty or too long name), BMW_ERROR_EMPTY, BMW_ERROR_MEMORY. */
extern BmwStatus bmw_template_parse(const char *text, BmwTemplate *out);
extern void bmw_template_free(BmwTemplate *template);

#endif
