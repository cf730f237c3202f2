/*
 * test_template.c - parts, doubled braces, everything that is refused.
 */
#include "core/template.h"

#include "unit.h"

/* The parts as one text: literals in quotes, columns in angle brackets. */
static const char *
parts(const char *text)
{
	static char shown[512];
	BmwTemplate template;
	const BmwStatus status = bmw_template_parse(text, &template);
	int len = 0;

	if (status != BMW_OK)
	{
		CHECK(template.parts == NULL && template.length == 0);
		return status == BMW_ERROR_SYNTAX ? "syntax" : status == BMW_ERROR_EMPTY ? "empty" : "?";
	}
	for (int i = 0; i < template.length; i++)
	{
		const BmwTemplatePart *part = &template.parts[i];

		CHECK_INT(part->len, strlen(part->text));
		len += snprintf(shown + len, sizeof(shown) - (size_t) len,
						part->is_column ? "<%s>" : "'%s'", part->text);
	}
	bmw_template_free(&template);
	return shown;
}

int
main(void)
{
	char longest[80];

	CHECK_TEXT(parts("message.{status}"), "'message.'<status>");
	CHECK_TEXT(parts("{status}"), "<status>");
	CHECK_TEXT(parts("{a}{b}"), "<a><b>");
	CHECK_TEXT(parts("{a}.{b}.c"), "<a>'.'<b>'.c'");
	CHECK_TEXT(parts("plain"), "'plain'");
	CHECK_TEXT(parts("{{"), "'{'");
	CHECK_TEXT(parts("}}"), "'}'");
	CHECK_TEXT(parts("x{{y}}z"), "'x{y}z'");
	CHECK_TEXT(parts("{{{a}}}"), "'{'<a>'}'");
	CHECK_TEXT(parts("{{{{a"), "'{{a'");
	CHECK_TEXT(parts("{a b \xC3\xA9}"), "<a b \xC3\xA9>");
	CHECK_TEXT(parts(""), "empty");
	CHECK_TEXT(parts("{}"), "syntax");
	CHECK_TEXT(parts("{"), "syntax");
	CHECK_TEXT(parts("}"), "syntax");
	CHECK_TEXT(parts("a{b"), "syntax");
	CHECK_TEXT(parts("a}b"), "syntax");
	CHECK_TEXT(parts("{a{b}"), "syntax");
	CHECK_TEXT(parts("{{a}"), "syntax");
	CHECK_TEXT(parts("{a}}"), "syntax");
	CHECK_TEXT(parts("good.{a}.{"), "syntax");

	memset(longest, 'n', sizeof(longest));
	longest[0] = '{';
	memcpy(longest + 64, "}", 2);
	CHECK_INT(strlen(parts(longest)), 65);
	memcpy(longest + 64, "n}", 3);
	CHECK_TEXT(parts(longest), "syntax");
	return unit_finish("template");
}
