/*
 * test_heap.c - order, moving and removing nodes, against a plain array.
 */
#include "core/heap.h"

#include <stdlib.h>

#include "unit.h"

#define NODES 300

static BmwHeapNode nodes[NODES];

static void
test_empty(void)
{
	BmwHeap heap = {0};

	CHECK(bmw_heap_top(&heap) == NULL);
	CHECK(bmw_heap_reserve(&heap, 0));
	bmw_heap_remove(&heap, &nodes[0]);
	CHECK_INT(heap.length, 0);
	bmw_heap_free(&heap);
	CHECK(heap.nodes == NULL && heap.capacity == 0);
}

static void
test_reserve(void)
{
	BmwHeap heap = {0};

	for (int i = 1; i <= NODES; i++)
	{
		CHECK(bmw_heap_reserve(&heap, i));
		CHECK(heap.capacity >= i);
	}
	bmw_heap_free(&heap);
}

static void
test_extreme_keys(void)
{
	BmwHeap heap = {0};
	const int64_t keys[] = {0, INT64_MAX, INT64_MIN, -1, INT64_MAX, INT64_MIN};
	int64_t previous = INT64_MIN;

	CHECK(bmw_heap_reserve(&heap, 6));
	for (int i = 0; i < 6; i++)
		bmw_heap_set(&heap, &nodes[i], keys[i]);
	for (int i = 0; i < 6; i++)
	{
		BmwHeapNode *top = bmw_heap_top(&heap);

		CHECK(top->key >= previous);
		previous = top->key;
		bmw_heap_remove(&heap, top);
		CHECK_INT(top->place, 0);
	}
	CHECK(bmw_heap_top(&heap) == NULL);
	bmw_heap_free(&heap);
}

static bool
is_sound(const BmwHeap *heap)
{
	for (int i = 0; i < heap->length; i++)
		if (heap->nodes[i]->place != i + 1 ||
			(i > 0 && heap->nodes[(i - 1) / 2]->key > heap->nodes[i]->key))
			return false;
	return true;
}

/* The smallest key of the nodes that are in, found by looking at each. */
static int64_t
smallest(int *count)
{
	int64_t key = INT64_MAX;

	*count = 0;
	for (int i = 0; i < NODES; i++)
		if (nodes[i].place != 0)
		{
			++*count;
			key = nodes[i].key < key ? nodes[i].key : key;
		}
	return key;
}

static void
test_random(void)
{
	BmwHeap heap = {0};
	uint64_t random = 1;

	CHECK(bmw_heap_reserve(&heap, NODES));
	for (int step = 0; step < 20000; step++)
	{
		BmwHeapNode *node = &nodes[unit_random(&random) % NODES];
		int count;

		if (unit_random(&random) % 3 == 0)
			bmw_heap_remove(&heap, node);
		else
			bmw_heap_set(&heap, node, (int64_t) (unit_random(&random) % 100));

		const int64_t key = smallest(&count);

		CHECK(is_sound(&heap));
		CHECK_INT(heap.length, count);
		if (count > 0)
			CHECK_INT(bmw_heap_top(&heap)->key, key);
		else
			CHECK(bmw_heap_top(&heap) == NULL);
	}
	bmw_heap_free(&heap);
}

int
main(void)
{
	test_empty();
	test_reserve();
	test_extreme_keys();
	test_random();
	return unit_finish("heap");
}
