/*
 * test_snapshot.c - text form, visibility, and what ended between two snapshots,
 * compared with a brute-force model of a server that runs transactions.
 */
#include "core/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>

#include "unit.h"

#define MODEL_XIDS 400

static const char *const valid[] = {
	"1:1:",
	"100:100:",
	"100:103:100,102",
	"100:101:100",
	"1:18446744073709551615:",
	"18446744073709551614:18446744073709551615:18446744073709551614",
	"5:9:6,8",
};

static const char *const invalid[] = {
	"",
	":",
	"::",
	"1",
	"1:",
	"1:2",
	"0:0:",
	"0:5:",
	"5:4:",
	"1:2:3",
	"1:2:2",
	"5:9:4",
	"5:9:9",
	"5:9:6,6",
	"5:9:7,6",
	"5:9:6,",
	"5:9:,6",
	"5:9:6,,7",
	"5:9:6 ",
	" 5:9:6",
	"5:9: 6",
	"-5:9:",
	"+5:9:",
	"5:9:x",
	"5:9:6:7",
	"a:b:",
	"18446744073709551616:18446744073709551617:",
	"1:99999999999999999999:",
	"5,9:",
};

static void
test_text(void)
{
	BmwSnapshot snapshot;

	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
	{
		CHECK_INT(bmw_snapshot_parse(valid[i], &snapshot), BMW_OK);

		char *text = bmw_snapshot_format(&snapshot);

		CHECK_TEXT(text, valid[i]);
		free(text);
		bmw_snapshot_free(&snapshot);
	}
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
	{
		if (!CHECK_INT(bmw_snapshot_parse(invalid[i], &snapshot), BMW_ERROR_SYNTAX))
			printf("  for %s\n", invalid[i]);
		CHECK(snapshot.xip == NULL && snapshot.xip_length == 0);
	}
}

static void
test_sees(void)
{
	BmwSnapshot snapshot;

	CHECK_INT(bmw_snapshot_parse("100:105:100,103", &snapshot), BMW_OK);
	CHECK(bmw_snapshot_sees(&snapshot, 1));
	CHECK(bmw_snapshot_sees(&snapshot, 99));
	CHECK(!bmw_snapshot_sees(&snapshot, 100));
	CHECK(bmw_snapshot_sees(&snapshot, 101));
	CHECK(bmw_snapshot_sees(&snapshot, 102));
	CHECK(!bmw_snapshot_sees(&snapshot, 103));
	CHECK(bmw_snapshot_sees(&snapshot, 104));
	CHECK(!bmw_snapshot_sees(&snapshot, 105));
	CHECK(!bmw_snapshot_sees(&snapshot, UINT64_MAX));
	bmw_snapshot_free(&snapshot);
}

static void
test_ended(void)
{
	BmwSnapshot prev;
	BmwSnapshot now;
	uint64_t xids[3] = {0};

	bmw_snapshot_parse("100:110:100,103,107", &prev);
	bmw_snapshot_parse("103:120:103,115", &now);
	CHECK_INT(bmw_snapshot_ended(&prev, &now, xids), 2);
	CHECK_INT(xids[0], 100);
	CHECK_INT(xids[1], 107);
	CHECK_INT(bmw_snapshot_ended(&prev, &prev, xids), 0);
	bmw_snapshot_free(&now);
	bmw_snapshot_parse("120:120:", &now);
	CHECK_INT(bmw_snapshot_ended(&prev, &now, xids), 3);
	CHECK_INT(bmw_snapshot_ended(&now, &now, xids), 0);
	bmw_snapshot_free(&prev);
	bmw_snapshot_free(&now);
}

/* A server: xids are assigned in order and end in any order. */
typedef struct Model
{
	bool has_ended[MODEL_XIDS];
	uint64_t next_xid;
} Model;

static void
run_model(Model *model, uint64_t *seed)
{
	for (int steps = (int) (unit_random(seed) % 12); steps > 0; steps--)
	{
		if (unit_random(seed) % 2 == 0 && model->next_xid < MODEL_XIDS)
			model->next_xid++;
		else if (model->next_xid > 1)
			model->has_ended[1 + unit_random(seed) % (model->next_xid - 1)] = true;
	}
}

/* As PostgreSQL writes it; through the parser. */
static BmwSnapshot
take_snapshot(const Model *model)
{
	static char text[MODEL_XIDS * 8];
	BmwSnapshot snapshot;
	uint64_t xmin = 1;
	int len;

	while (xmin < model->next_xid && model->has_ended[xmin])
		xmin++;
	len = snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64 ":", xmin, model->next_xid);

	const char *separator = "";

	for (uint64_t xid = xmin; xid < model->next_xid; xid++)
	{
		if (model->has_ended[xid])
			continue;
		len += snprintf(text + len, sizeof(text) - (size_t) len, "%s%" PRIu64, separator, xid);
		separator = ",";
	}
	CHECK_INT(bmw_snapshot_parse(text, &snapshot), BMW_OK);
	return snapshot;
}

/* ended + (xid >= prev.xmax and seen now) must be what was unseen and is seen. */
static int
count_wrong(const BmwSnapshot *prev, const Model *before, const BmwSnapshot *now,
			const Model *after)
{
	uint64_t xids[MODEL_XIDS];
	bool is_new[MODEL_XIDS + 5] = {false};
	const int length = bmw_snapshot_ended(prev, now, xids);
	int wrong = 0;

	for (int i = 0; i < length; i++)
		is_new[xids[i]] = true;
	for (uint64_t xid = prev->xmax; xid < MODEL_XIDS; xid++)
		is_new[xid] = bmw_snapshot_sees(now, xid);
	for (uint64_t xid = 1; xid < MODEL_XIDS; xid++)
	{
		const bool was_over = xid < before->next_xid && before->has_ended[xid];
		const bool is_over = xid < after->next_xid && after->has_ended[xid];

		wrong += bmw_snapshot_sees(now, xid) != is_over;
		wrong += is_new[xid] != (is_over && !was_over);
	}
	return wrong;
}

static void
test_model(void)
{
	int wrong = 0;

	for (uint64_t seed = 1; seed <= 60; seed++)
	{
		static Model model;
		static Model before;
		uint64_t random = seed;

		model = (Model){.next_xid = 1};
		before = model;

		BmwSnapshot prev = take_snapshot(&model);

		for (int i = 0; i < 80; i++)
		{
			run_model(&model, &random);

			BmwSnapshot now = take_snapshot(&model);

			wrong += count_wrong(&prev, &before, &now, &model);
			bmw_snapshot_free(&prev);
			prev = now;
			before = model;
		}
		bmw_snapshot_free(&prev);
	}
	CHECK_INT(wrong, 0);
}

int
main(void)
{
	test_text();
	test_sees();
	test_ended();
	test_model();
	return unit_finish("snapshot");
}
