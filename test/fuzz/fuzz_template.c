/*
 * fuzz_template.c - the parts of a template, written again, are the template.
 */
#include "core/template.h"

#include "fuzz.h"

/* Room for all braces doubled. */
static char *
write_again(const BmwTemplate *template, size_t size)
{
	char *text = malloc(2 * size + 1);
	size_t len = 0;

	REQUIRE(text != NULL);
	for (int i = 0; i < template->length; i++)
	{
		const BmwTemplatePart *part = &template->parts[i];

		REQUIRE(part->len == strlen(part->text));
		REQUIRE(!part->is_column || (part->len >= 1 && part->len <= 63));
		if (part->is_column)
			text[len++] = '{';
		for (const char *c = part->text; *c != '\0'; c++)
		{
			text[len++] = *c;
			if (*c == '{' || *c == '}')
				text[len++] = *c;
		}
		if (part->is_column)
			text[len++] = '}';
	}
	text[len] = '\0';
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	BmwTemplate template;

	if (bmw_template_parse(text, &template) == BMW_OK)
	{
		char *again = write_again(&template, size);

		REQUIRE(strcmp(again, text) == 0);
		free(again);
		bmw_template_free(&template);
	}
	free(text);
	return 0;
}
