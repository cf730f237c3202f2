#include "core/operation.h"

#include <assert.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
#define REST_FACTOR 4 /* times what a step took: a fifth of the time at most */
#define MAX_REST_US SECOND_US
#define LATER_US SECOND_US
#define LOOK_US (60 * SECOND_US)

static int find(const BmwOperations *operations, int64_t id);
static void forget(BmwOperations *operations, int at);
static int64_t later(int64_t a, int64_t b);

bool
bmw_operations_wants_reading(const BmwOperations *operations, bool is_announced, int64_t now_us)
{
	return operations->length < BMW_OPERATIONS &&
		   (is_announced || operations->has_more || now_us >= operations->look_us);
}

bool
bmw_operations_add(BmwOperations *operations, int64_t id)
{
	if (find(operations, id) >= 0)
		return true;
	if (operations->length == BMW_OPERATIONS)
		return false;
	operations->items[operations->length++] = (BmwOperation){.id = id};
	return true;
}

void
bmw_operations_read(BmwOperations *operations, bool is_all, int64_t now_us)
{
	operations->has_more = !is_all;
	operations->look_us = now_us + LOOK_US;
}

bool
bmw_operations_next(BmwOperations *operations, int64_t *id, int64_t now_us)
{
	if (now_us < operations->rest_us)
		return false;
	for (int i = 0; i < operations->length; i++)
	{
		int at = (operations->turn + i) % operations->length;

		if (operations->items[at].not_before_us > now_us)
			continue;
		operations->turn = at + 1;
		*id = operations->items[at].id;
		return true;
	}
	return false;
}

void
bmw_operations_done(BmwOperations *operations, int64_t id, BmwOperationResult result,
					int64_t took_us, int64_t now_us)
{
	int at = find(operations, id);

	assert(at >= 0);
	operations->rest_us =
		now_us + (took_us < MAX_REST_US / REST_FACTOR ? took_us * REST_FACTOR : MAX_REST_US);
	if (result == BMW_OPERATION_ENDED)
		forget(operations, at);
	else
		operations->items[at].not_before_us =
			result == BMW_OPERATION_LATER ? now_us + LATER_US : now_us;
}

int64_t
bmw_operations_wakeup_us(const BmwOperations *operations)
{
	int64_t wakeup_us = operations->look_us;

	if (operations->has_more && operations->length < BMW_OPERATIONS)
		return 0;
	for (int i = 0; i < operations->length; i++)
	{
		int64_t next_us = later(operations->items[i].not_before_us, operations->rest_us);

		if (next_us < wakeup_us)
			wakeup_us = next_us;
	}
	return wakeup_us;
}

/* -1: not known. */
static int
find(const BmwOperations *operations, int64_t id)
{
	for (int i = 0; i < operations->length; i++)
		if (operations->items[i].id == id)
			return i;
	return -1;
}

static void
forget(BmwOperations *operations, int at)
{
	operations->length--;
	memmove(&operations->items[at], &operations->items[at + 1],
			sizeof(operations->items[0]) * (size_t) (operations->length - at));
	if (operations->turn > at)
		operations->turn--;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}
