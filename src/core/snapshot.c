/*
 * core/snapshot.c - PostgreSQL snapshots as text, and what lies between two.
 *
 * xmax is the first xid that was not yet assigned, not the last one that was:
 * everything from xmax on is unseen. The list of running transactions is
 * ascending, which the binary search relies on and the parser makes sure of.
 */
#include "core/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define XID_MAX_DIGITS 20

static BmwStatus parse_running(const char *text, BmwSnapshot *out);
static bool parse_xid(const char **cursor, char end, uint64_t *out);
static bool is_running(const BmwSnapshot *snapshot, uint64_t xid);

BmwStatus
bmw_snapshot_parse(const char *text, BmwSnapshot *out)
{
	const char *cursor = text;

	*out = (BmwSnapshot){0};

	BmwSnapshot parsed = {0};

	if (!parse_xid(&cursor, ':', &parsed.xmin) || !parse_xid(&cursor, ':', &parsed.xmax))
		return BMW_ERROR_SYNTAX;
	if (parsed.xmin == 0 || parsed.xmin > parsed.xmax)
		return BMW_ERROR_SYNTAX;

	const BmwStatus status = parse_running(cursor, &parsed);

	if (status != BMW_OK)
		bmw_snapshot_free(&parsed);
	*out = parsed;
	return status;
}

char *
bmw_snapshot_format(const BmwSnapshot *snapshot)
{
	/* Each number and its separator; the last separator's place holds the 0. */
	const size_t size = ((size_t) snapshot->xip_length + 2) * (XID_MAX_DIGITS + 1) + 1;
	char *text = malloc(size);

	if (text == NULL)
		return NULL;

	size_t len =
		(size_t) snprintf(text, size, "%" PRIu64 ":%" PRIu64 ":", snapshot->xmin, snapshot->xmax);

	for (int i = 0; i < snapshot->xip_length; i++)
		len += (size_t) snprintf(text + len, size - len, "%s%" PRIu64, i > 0 ? "," : "",
								 snapshot->xip[i]);
	return text;
}

void
bmw_snapshot_free(BmwSnapshot *snapshot)
{
	free(snapshot->xip);
	*snapshot = (BmwSnapshot){0};
}

bool
bmw_snapshot_sees(const BmwSnapshot *snapshot, uint64_t xid)
{
	if (xid < snapshot->xmin)
		return true;
	return xid < snapshot->xmax && !is_running(snapshot, xid);
}

int
bmw_snapshot_ended(const BmwSnapshot *prev, const BmwSnapshot *now, uint64_t *xids)
{
	int length = 0;

	for (int i = 0; i < prev->xip_length; i++)
	{
		if (bmw_snapshot_sees(now, prev->xip[i]))
			xids[length++] = prev->xip[i];
	}
	return length;
}

/* "xip,xip,...", or nothing. What was allocated is in *out even on failure. */
static BmwStatus
parse_running(const char *text, BmwSnapshot *out)
{
	if (text[0] == '\0')
		return BMW_OK;

	size_t length = 1;

	for (const char *c = text; *c != '\0'; c++)
		length += *c == ',';
	out->xip = calloc(length, sizeof(uint64_t));
	if (out->xip == NULL)
		return BMW_ERROR_MEMORY;

	const char *cursor = text;
	uint64_t least = out->xmin;

	for (size_t i = 0; i < length; i++)
	{
		uint64_t xid;

		if (!parse_xid(&cursor, i + 1 < length ? ',' : '\0', &xid) || xid < least ||
			xid >= out->xmax)
			return BMW_ERROR_SYNTAX;
		out->xip[out->xip_length++] = xid;
		least = xid + 1;
	}
	return BMW_OK;
}

/* Digits and then `end`, which is stepped over unless it is the final 0. */
static bool
parse_xid(const char **cursor, char end, uint64_t *out)
{
	const char *c = *cursor;
	uint64_t value = 0;

	for (; *c >= '0' && *c <= '9'; c++)
	{
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t) (*c - '0'), &value))
			return false;
	}
	if (c == *cursor || *c != end)
		return false;
	*cursor = end == '\0' ? c : c + 1;
	*out = value;
	return true;
}

static bool
is_running(const BmwSnapshot *snapshot, uint64_t xid)
{
	int low = 0;
	int high = snapshot->xip_length;

	while (low < high)
	{
		const int middle = low + (high - low) / 2;

		if (snapshot->xip[middle] < xid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < snapshot->xip_length && snapshot->xip[low] == xid;
}
