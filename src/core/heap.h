/*
 * core/heap.h - a binary heap of pointers, smallest key first.
 *
 * Each item embeds a BmwHeapNode, which knows its place, so that a key can be
 * changed or an item removed in logarithmic time. Owns only its array.
 */
#ifndef BMW_CORE_HEAP_H
#define BMW_CORE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct BmwHeapNode
{
	int64_t key;
	int place; /* index + 1 in the heap; 0: not in it */
	void *item;
} BmwHeapNode;

typedef struct BmwHeap
{
	BmwHeapNode **nodes;
	int length;
	int capacity;
} BmwHeap;

/* Makes room for this many nodes; false: no memory. */
extern bool bmw_heap_reserve(BmwHeap *heap, int capacity);
extern void bmw_heap_free(BmwHeap *heap);
/* Inserts the node, or moves it to its new key. Room must be reserved. */
extern void bmw_heap_set(BmwHeap *heap, BmwHeapNode *node, int64_t key);
/* Removes it; nothing happens when it is not in. */
extern void bmw_heap_remove(BmwHeap *heap, BmwHeapNode *node);
/* The node with the smallest key, NULL when empty. */
extern BmwHeapNode *bmw_heap_top(const BmwHeap *heap);

#endif
