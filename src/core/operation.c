#include "core/operation.h"

#include <assert.h>
#include <string.h>

#include "core/batch.h"

#define SECOND_US INT64_C(1000000)
#define REST_FACTOR 9 /* times what a step took: a tenth of the time at most */
#define MAX_REST_US SECOND_US
#define LATER_US SECOND_US
#define LEAST_ROWS 30
#define LOOK_US (60 * SECOND_US)
#define LOOK_FOR_MORE_US SECOND_US

static int find(const BmwOperation *items, int length, int64_t id);
static const BmwOperation *find_sibling(const BmwOperations *operations, int64_t application);
static bool is_before(const BmwOperation *a, const BmwOperation *b);
static void forget(BmwOperations *operations, int at);
static int64_t later(int64_t a, int64_t b);

bool
bmw_operations_wants_reading(const BmwOperations *operations, bool is_announced, int64_t now_us)
{
	if (now_us >= operations->look_us)
		return true;
	if (!operations->has_more)
		return is_announced;
	return 2 * operations->length <= operations->read_length;
}

void
bmw_operations_begin_reading(BmwOperations *operations)
{
	memcpy(operations->before, operations->items, sizeof(operations->items));
	operations->before_length = operations->length;
	operations->length = 0;
}

bool
bmw_operations_add(BmwOperations *operations, int64_t id, int64_t application)
{
	int at = find(operations->before, operations->before_length, id);
	const BmwOperation *sibling = find_sibling(operations, application);
	BmwOperation added = {.id = id, .application = application, .turn = operations->turns};

	if (operations->length == BMW_OPERATIONS)
		return false;
	added.application_turn = sibling != NULL ? sibling->application_turn : operations->turns;
	operations->items[operations->length++] = at < 0 ? added : operations->before[at];
	return true;
}

void
bmw_operations_read(BmwOperations *operations, bool is_all, int64_t now_us)
{
	operations->before_length = 0;
	operations->read_length = operations->length;
	operations->has_more = !is_all;
	operations->look_us = now_us + (is_all ? LOOK_US : LOOK_FOR_MORE_US);
}

bool
bmw_operations_next(BmwOperations *operations, int64_t *id, int64_t now_us)
{
	BmwOperation *next = NULL;

	if (now_us < operations->rest_us)
		return false;
	for (BmwOperation *item = operations->items; item < &operations->items[operations->length];
		 item++)
		if (item->not_before_us <= now_us && (next == NULL || is_before(item, next)))
			next = item;
	if (next == NULL)
		return false;
	next->turn = ++operations->turns;
	for (int i = 0; i < operations->length; i++)
		if (operations->items[i].application == next->application)
			operations->items[i].application_turn = next->turn;
	*id = next->id;
	return true;
}

void
bmw_operations_done(BmwOperations *operations, int64_t id, BmwOperationResult result,
					int64_t took_us, int64_t now_us)
{
	int at = find(operations->items, operations->length, id);

	assert(at >= 0);
	operations->rest_us =
		now_us + (took_us < MAX_REST_US / REST_FACTOR ? took_us * REST_FACTOR : MAX_REST_US);
	operations->rows =
		bmw_batch_next(bmw_operations_rows(operations), bmw_operations_rows(operations), took_us,
					   LEAST_ROWS, BMW_OPERATION_ROWS);
	if (result == BMW_OPERATION_ENDED)
		forget(operations, at);
	else
		operations->items[at].not_before_us =
			result == BMW_OPERATION_LATER ? now_us + LATER_US : now_us;
}

int
bmw_operations_rows(const BmwOperations *operations)
{
	return operations->rows != 0 ? operations->rows : BMW_OPERATION_ROWS;
}

int64_t
bmw_operations_wakeup_us(const BmwOperations *operations)
{
	int64_t wakeup_us = operations->look_us;

	if (bmw_operations_wants_reading(operations, false, 0))
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
find(const BmwOperation *items, int length, int64_t id)
{
	for (int i = 0; i < length; i++)
		if (items[i].id == id)
			return i;
	return -1;
}

/* Another one of the application, now or before the reading; NULL: there is none. */
static const BmwOperation *
find_sibling(const BmwOperations *operations, int64_t application)
{
	for (int i = 0; i < operations->length; i++)
		if (operations->items[i].application == application)
			return &operations->items[i];
	for (int i = 0; i < operations->before_length; i++)
		if (operations->before[i].application == application)
			return &operations->before[i];
	return NULL;
}

static bool
is_before(const BmwOperation *a, const BmwOperation *b)
{
	if (a->application_turn != b->application_turn)
		return a->application_turn < b->application_turn;
	return a->turn < b->turn;
}

static void
forget(BmwOperations *operations, int at)
{
	operations->length--;
	memmove(&operations->items[at], &operations->items[at + 1],
			sizeof(operations->items[0]) * (size_t) (operations->length - at));
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}
