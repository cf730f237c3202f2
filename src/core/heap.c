/*
 * core/heap.c - a binary heap of pointers, smallest key first.
 *
 * A node's place is kept in step with every swap: whoever moves a node in the
 * array goes through put().
 */
#include "core/heap.h"

#include <stdlib.h>

static void put(BmwHeap *heap, int index, BmwHeapNode *node);
static void sift_up(BmwHeap *heap, int index);
static void sift_down(BmwHeap *heap, int index);

bool
bmw_heap_reserve(BmwHeap *heap, int capacity)
{
	if (capacity <= heap->capacity)
		return true;

	int wanted = capacity < 16 ? 16 : capacity * 2;
	BmwHeapNode **nodes = realloc(heap->nodes, (size_t) wanted * sizeof(*nodes));

	if (nodes == NULL)
		return false;
	heap->nodes = nodes;
	heap->capacity = wanted;
	return true;
}

void
bmw_heap_free(BmwHeap *heap)
{
	free(heap->nodes);
	*heap = (BmwHeap){0};
}

void
bmw_heap_set(BmwHeap *heap, BmwHeapNode *node, int64_t key)
{
	node->key = key;
	if (node->place == 0)
		put(heap, heap->length++, node);
	sift_up(heap, node->place - 1);
	sift_down(heap, node->place - 1);
}

void
bmw_heap_remove(BmwHeap *heap, BmwHeapNode *node)
{
	if (node->place == 0)
		return;

	int index = node->place - 1;
	BmwHeapNode *last = heap->nodes[--heap->length];

	node->place = 0;
	if (last == node)
		return;
	put(heap, index, last);
	sift_up(heap, index);
	sift_down(heap, last->place - 1);
}

BmwHeapNode *
bmw_heap_top(const BmwHeap *heap)
{
	return heap->length > 0 ? heap->nodes[0] : NULL;
}

static void
put(BmwHeap *heap, int index, BmwHeapNode *node)
{
	heap->nodes[index] = node;
	node->place = index + 1;
}

static void
sift_up(BmwHeap *heap, int index)
{
	BmwHeapNode *node = heap->nodes[index];

	while (index > 0)
	{
		int parent = (index - 1) / 2;

		if (heap->nodes[parent]->key <= node->key)
			break;
		put(heap, index, heap->nodes[parent]);
		index = parent;
	}
	put(heap, index, node);
}

static void
sift_down(BmwHeap *heap, int index)
{
	BmwHeapNode *node = heap->nodes[index];

	for (;;)
	{
		int child = 2 * index + 1;

		if (child >= heap->length)
			break;
		if (child + 1 < heap->length && heap->nodes[child + 1]->key < heap->nodes[child]->key)
			child++;
		if (heap->nodes[child]->key >= node->key)
			break;
		put(heap, index, heap->nodes[child]);
		index = child;
	}
	put(heap, index, node);
}
