/*
 * test/unit/test_order.c - core/order.c: only the first of a message may be sent.
 *
 * The randomized part compares with a model that keeps every id in one array.
 */
#include "core/order.h"

#include <string.h>

#include "unit.h"

#define MODEL_SIZE 4000

static BmwUuid
id_of(unsigned number)
{
	BmwUuid id = {{0}};

	id.bytes[14] = (uint8_t) (number >> 8);
	id.bytes[15] = (uint8_t) number;
	return id;
}

static void
test_heads(void)
{
	BmwOrder *order = bmw_order_create();
	BmwOrderKey a = bmw_order_key(1, "app", "m1");
	BmwOrderKey other_message = bmw_order_key(1, "app", "m2");
	BmwOrderKey other_endpoint = bmw_order_key(2, "app", "m1");
	BmwUuid one = id_of(1);
	BmwUuid two = id_of(2);
	BmwUuid three = id_of(3);
	BmwUuid next;

	CHECK(bmw_order_is_head(order, &a, &one));
	CHECK(bmw_order_add(order, &a, &three) == BMW_OK);
	CHECK(bmw_order_add(order, &a, &one) == BMW_OK);
	CHECK(bmw_order_add(order, &a, &two) == BMW_OK);
	CHECK(bmw_order_add(order, &a, &two) == BMW_OK);
	CHECK(bmw_order_add(order, &other_message, &three) == BMW_OK);
	CHECK(bmw_order_add(order, &other_endpoint, &two) == BMW_OK);
	CHECK_INT(bmw_order_count(order), 5);
	CHECK(bmw_order_is_head(order, &a, &one));
	CHECK(!bmw_order_is_head(order, &a, &two));
	CHECK(bmw_order_is_head(order, &other_message, &three));
	CHECK(bmw_order_is_head(order, &other_endpoint, &two));
	CHECK(!bmw_order_remove(order, &a, &two, &next));
	CHECK(bmw_order_remove(order, &a, &one, &next));
	CHECK(memcmp(&next, &three, sizeof(next)) == 0);
	CHECK(!bmw_order_remove(order, &a, &one, &next));
	CHECK(!bmw_order_remove(order, &a, &three, &next));
	CHECK_INT(bmw_order_count(order), 2);
	bmw_order_forget(order, 1);
	CHECK_INT(bmw_order_count(order), 1);
	bmw_order_destroy(order);
}

/* A head is wanted once, endpoints take turns, and what has gone is wanted no longer. */
static void
test_wanted(void)
{
	BmwOrder *order = bmw_order_create();
	BmwOrderKey keys[] = {bmw_order_key(1, "app", "m1"), bmw_order_key(1, "app", "m2"),
						  bmw_order_key(2, "app", "m1")};
	BmwOrderHead heads[4];
	BmwUuid next;
	int64_t endpoint_id;

	for (unsigned i = 0; i < 3; i++)
		for (unsigned n = 0; n < 2; n++)
		{
			BmwUuid id = id_of(10 * i + n);

			CHECK_INT(bmw_order_add(order, &keys[i], &id), BMW_OK);
		}
	CHECK(!bmw_order_is_wanting(order));
	bmw_order_want(order, &keys[0]);
	bmw_order_want_all(order, 1);
	bmw_order_want_some(order, 1000);
	CHECK(bmw_order_next_wanting(order, &endpoint_id));
	CHECK_INT(endpoint_id, 1);
	CHECK(bmw_order_next_wanting(order, &endpoint_id));
	CHECK_INT(endpoint_id, 2);
	CHECK_INT(bmw_order_take_wanted(order, 1, heads, 1), 1);
	CHECK_INT(heads[0].id.bytes[15], 0);
	next = id_of(10);
	CHECK(bmw_order_remove(order, &keys[1], &next, &next));
	CHECK_INT(bmw_order_take_wanted(order, 1, heads, 4), 1);
	CHECK_INT(heads[0].id.bytes[15], 11);
	CHECK_INT(bmw_order_take_wanted(order, 1, heads, 4), 0);
	bmw_order_forget(order, 2);
	CHECK(!bmw_order_is_wanting(order));
	bmw_order_want_all(order, 1);
	bmw_order_unwant_all(order, 1);
	CHECK(!bmw_order_next_wanting(order, &endpoint_id));
	bmw_order_destroy(order);
}

static void
test_keys(void)
{
	BmwOrderKey a = bmw_order_key(1, "ab", "c");
	BmwOrderKey b = bmw_order_key(1, "a", "bc");
	BmwOrderKey c = bmw_order_key(1, NULL, "abc");

	CHECK(memcmp(&a, &b, sizeof(a)) != 0);
	CHECK(memcmp(&b, &c, sizeof(b)) != 0);
}

static void
test_against_model(void)
{
	static bool in_model[16][MODEL_SIZE];
	BmwOrder *order = bmw_order_create();
	long count = 0;
	uint64_t state = 1;

	for (int step = 0; step < 200000; step++)
	{
		unsigned message = (unsigned) (unit_random(&state) % 16);
		unsigned number = (unsigned) (unit_random(&state) % MODEL_SIZE);
		char name[8] = {(char) ('a' + message), '\0'};
		BmwOrderKey key = bmw_order_key(7, NULL, name);
		BmwUuid id = id_of(number);
		BmwUuid next;

		if (unit_random(&state) % 2 == 0)
		{
			CHECK(bmw_order_add(order, &key, &id) == BMW_OK);
			count += in_model[message][number] ? 0 : 1;
			in_model[message][number] = true;
			continue;
		}

		unsigned first = 0;
		bool was_in = in_model[message][number];

		while (first < MODEL_SIZE && !in_model[message][first])
			first++;
		in_model[message][number] = false;
		count -= was_in ? 1 : 0;

		bool has_next = bmw_order_remove(order, &key, &id, &next);
		unsigned second = first;

		while (second < MODEL_SIZE && !in_model[message][second])
			second++;
		CHECK(has_next == (was_in && number == first && second < MODEL_SIZE));
		if (has_next)
		{
			BmwUuid expected = id_of(second);

			CHECK(memcmp(&next, &expected, sizeof(next)) == 0);
		}
	}
	CHECK_INT(bmw_order_count(order), count);
	bmw_order_destroy(order);
}

int
main(void)
{
	test_heads();
	test_wanted();
	test_keys();
	test_against_model();
	return unit_finish("order");
}
