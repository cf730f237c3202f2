/*
 * unit.h - the whole of the unit-test framework.
 *
 * A test is a program: main() makes its checks and returns unit_finish("name").
 * A failed check prints file, line, expression and values, and goes on, so one
 * run shows everything that is wrong. Arguments are evaluated exactly once.
 */
#ifndef BMW_UNIT_H
#define BMW_UNIT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int unit_checks;
static int unit_failures;

/* Is the claim true? */
#define CHECK(claim) unit_check((claim), #claim, __FILE__, __LINE__)
/* Integers, enums, booleans: actual first, expected second. */
#define CHECK_INT(actual, expected)                                                                \
	unit_check_int((int64_t) (actual), (int64_t) (expected), #actual, __FILE__, __LINE__)
/* 0-terminated texts; NULL equals only NULL. */
#define CHECK_TEXT(actual, expected)                                                               \
	unit_check_text((actual), (expected), #actual, __FILE__, __LINE__)

static inline bool
unit_check(bool is_true, const char *claim, const char *file, int line)
{
	unit_checks++;
	if (!is_true)
	{
		unit_failures++;
		printf("%s:%d: %s is false\n", file, line, claim);
	}
	return is_true;
}

static inline bool
unit_check_int(int64_t actual, int64_t expected, const char *claim, const char *file, int line)
{
	unit_checks++;
	if (actual != expected)
	{
		unit_failures++;
		printf("%s:%d: %s is %" PRId64 ", expected %" PRId64 "\n", file, line, claim, actual,
			   expected);
	}
	return actual == expected;
}

static inline bool
unit_check_text(const char *actual, const char *expected, const char *claim, const char *file,
				int line)
{
	const bool is_equal =
		actual == NULL || expected == NULL ? actual == expected : strcmp(actual, expected) == 0;

	unit_checks++;
	if (!is_equal)
	{
		unit_failures++;
		printf("%s:%d: %s is \"%s\", expected \"%s\"\n", file, line, claim,
			   actual ? actual : "(null)", expected ? expected : "(null)");
	}
	return is_equal;
}

/* A small deterministic generator: a failing random test fails again. */
static inline uint64_t
unit_random(uint64_t *state)
{
	*state += UINT64_C(0x9E3779B97F4A7C15);
	uint64_t z = *state;

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* Prints the test's one line; the value main() returns. */
static inline int
unit_finish(const char *name)
{
	if (unit_failures == 0)
		printf("test_%s: %d checks passed\n", name, unit_checks);
	else
		printf("test_%s: %d of %d checks FAILED\n", name, unit_failures, unit_checks);
	return unit_failures != 0;
}

#endif
