/*
 * test_mask.c - what is overwritten of what a receiver gives back.
 */
#include "core/mask.h"

#include <string.h>

#include "unit.h"

static const char *
masked(const char *text, const char *value)
{
	static char copy[256];

	snprintf(copy, sizeof(copy), "%s", text);
	bmw_mask_value(copy, strlen(copy), value);
	return copy;
}

static const char *
without_secrets(const char *text)
{
	static char copy[256];

	snprintf(copy, sizeof(copy), "%s", text);
	bmw_mask_secrets(copy, strlen(copy));
	return copy;
}

static void
test_values(void)
{
	CHECK_TEXT(masked("a k3y-of-8! b", "k3y-of-8!"), "a ********* b");
	CHECK_TEXT(masked("k3y-of-8!k3y-of-8!", "k3y-of-8!"), "******************");
	CHECK_TEXT(masked("a", "k3y-of-8!"), "a");
	CHECK_TEXT(masked("", "k3y-of-8!"), "");
	CHECK_TEXT(masked("any key, any", "any"), "any key, any");
	/* a token after the name of its scheme */
	CHECK_TEXT(masked("{\"Authorization\":\"Bearer t0ken-t0ken\"}", "Bearer t0ken-t0ken"),
			   "{\"Authorization\":\"******************\"}");
	CHECK_TEXT(masked("no such token: t0ken-t0ken!", "Bearer t0ken-t0ken"),
			   "no such token: ***********!");
	CHECK_TEXT(masked("Bearer of news", "Bearer t0ken-t0ken"), "Bearer of news");
}

static void
test_json(void)
{
	CHECK_TEXT(masked("\"dXNlcjpw\\/c3M=\"", "Basic dXNlcjpw/c3M="), "\"**************\"");
	CHECK_TEXT(masked("\"dXNlcjpw/c3M=\"", "Basic dXNlcjpw/c3M="), "\"*************\"");
	CHECK_TEXT(masked("\"a=\\\"b/c\\\", d\\\\e\"", "a=\"b/c\", d\\e"), "\"***************\"");
	CHECK_TEXT(masked("\"a=\\\"b\\/c\\\", d\\\\e\"", "a=\"b/c\", d\\e"), "\"****************\"");
}

static void
test_end(void)
{
	CHECK_TEXT(masked("the text ends with k3y-", "k3y-of-8!"), "the text ends with ****");
	CHECK_TEXT(masked("the text ends with k3y-of-8", "k3y-of-8!"), "the text ends with ********");
	CHECK_TEXT(masked("the text ends with k3y", "k3y-of-8!"), "the text ends with k3y");
	CHECK_TEXT(masked("k3y-", "k3y-of-8!"), "****");
	CHECK_TEXT(masked("aaaaaaaaaaaa", "aaaaaaaab"), "aaaa********");
}

static void
test_secrets(void)
{
	CHECK_TEXT(without_secrets("WEBHOOK_SECRET=whsec_MfKQ9r8G/+==\nDEBUG=1"),
			   "WEBHOOK_SECRET=whsec_************\nDEBUG=1");
	CHECK_TEXT(without_secrets("\"whsk_MfKQ\\/r8G\", whsec_, whsec_MfKQ"),
			   "\"whsk_*********\", whsec_, whsec_****");
	CHECK_TEXT(without_secrets("whsec"), "whsec");
}

int
main(void)
{
	test_values();
	test_json();
	test_end();
	test_secrets();
	return unit_finish("mask");
}
