/*
 * test_archive.c - what is put into the command of an archive is one word of the shell.
 */
#include "core/archive.h"

#include <stdlib.h>

#include "unit.h"

static void
check_expanded(const char *command, const char *file, const char *database, const char *expected)
{
	char *text = bmw_archive_expand(command, file, database);

	CHECK(bmw_archive_is_valid(command));
	CHECK_TEXT(text, expected);
	free(text);
}

static void
test_expansion(void)
{
	check_expanded("", "f", "d", "");
	check_expanded("gzip > /archive/%d/%f", "f.jsonl", "shop", "gzip > /archive/'shop'/'f.jsonl'");
	check_expanded("%f%d%%%f", "f", "d", "'f''d'%'f'");
	check_expanded("date +%%s", "f", "d", "date +%s");
	check_expanded("%%f", "f", "d", "%f");
	check_expanded("%f", "it's", "d", "'it'\\''s'");
	check_expanded("%d", "f", "", "''");
	/* what is put in is not expanded again */
	check_expanded("%f", "%d", "d", "'%d'");
}

static void
test_validity(void)
{
	CHECK(bmw_archive_is_valid("cat"));
	CHECK(!bmw_archive_is_valid("%"));
	CHECK(!bmw_archive_is_valid("cat %"));
	CHECK(!bmw_archive_is_valid("cat %%%"));
	CHECK(!bmw_archive_is_valid("cat %p"));
	CHECK(!bmw_archive_is_valid("cat %F"));
	CHECK(!bmw_archive_is_valid("cat %f %x"));
	CHECK(bmw_archive_is_valid("cat %%%f"));
}

/* What a real shell makes of it. */
static void
test_shell(void)
{
	static const char *const words[] = {
		"plain",	  "two words", "it's",	  "'",		   "''", "$(echo x)`echo y`",
		"\"; exit 3", "a\nb",	   "*\\?~#&", "-n --help", ""};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
	{
		char *command = bmw_archive_expand("printf '<%%s>' %f %d", words[i], "it's");
		FILE *shell = command != NULL ? popen(command, "r") : NULL;
		char expected[128];
		char read[128] = "";

		if (CHECK(shell != NULL))
		{
			read[fread(read, 1, sizeof(read) - 1, shell)] = '\0';
			CHECK_INT(pclose(shell), 0);
		}
		snprintf(expected, sizeof(expected), "<%s><it's>", words[i]);
		CHECK_TEXT(read, expected);
		free(command);
	}
}

int
main(void)
{
	test_expansion();
	test_validity();
	test_shell();
	return unit_finish("archive");
}
