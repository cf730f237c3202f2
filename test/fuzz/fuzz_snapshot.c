/*
 * fuzz_snapshot.c - a snapshot, written and read again, sees the same.
 *
 * Lines: the snapshot before, the snapshot now.
 */
#include "core/snapshot.h"

#include "fuzz.h"

static void
require_same_again(const BmwSnapshot *snapshot)
{
	char *text = bmw_snapshot_format(snapshot);
	BmwSnapshot again;

	REQUIRE(text != NULL && bmw_snapshot_parse(text, &again) == BMW_OK);
	REQUIRE(again.xmin == snapshot->xmin && again.xmax == snapshot->xmax);
	REQUIRE(again.xip_length == snapshot->xip_length);
	for (int i = 0; i < snapshot->xip_length; i++)
	{
		REQUIRE(again.xip[i] == snapshot->xip[i]);
		REQUIRE(!bmw_snapshot_sees(snapshot, snapshot->xip[i]));
	}
	REQUIRE(bmw_snapshot_sees(snapshot, snapshot->xmin - 1));
	REQUIRE(!bmw_snapshot_sees(snapshot, snapshot->xmax));
	bmw_snapshot_free(&again);
	free(text);
}

static void
require_ended_are_seen(const BmwSnapshot *before, const BmwSnapshot *now)
{
	uint64_t *xids = malloc(((size_t) before->xip_length + 1) * sizeof(uint64_t));
	const int length = bmw_snapshot_ended(before, now, xids);

	REQUIRE(length <= before->xip_length);
	for (int i = 0; i < length; i++)
		REQUIRE(bmw_snapshot_sees(now, xids[i]) && !bmw_snapshot_sees(before, xids[i]));
	free(xids);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *lines[] = {fuzz_line(&data, &size), fuzz_line(&data, &size)};
	BmwSnapshot before;
	BmwSnapshot now;
	const BmwStatus status_before = bmw_snapshot_parse(lines[0], &before);
	const BmwStatus status_now = bmw_snapshot_parse(lines[1], &now);

	if (status_before == BMW_OK)
		require_same_again(&before);
	if (status_before == BMW_OK && status_now == BMW_OK)
		require_ended_are_seen(&before, &now);
	bmw_snapshot_free(&before);
	bmw_snapshot_free(&now);
	free(lines[0]);
	free(lines[1]);
	return 0;
}
