/*
 * pg/dispatch/ordering.c - endpoints that want the events of a message in order.
 *
 * core/order.h knows which delivery of a message is the head. Only heads are in
 * lanes; the others have a row that is held back (due at infinity), and are
 * fetched by id when they become the head, which is when the outcome of the one
 * before has been committed: so a crash repeats a delivery, but never turns two
 * around. Events of one pass may have ids in another order than they are read
 * in, therefore they are placed when the pass has been read to its end.
 */
#include "postgres.h"

#include "pg/dispatch/dispatcher.h"
#include "pg/server/settings.h"

#define MAX_KEPT 5000 /* bodies kept until the end of a pass */
#define FETCH_AT_ONCE 500

typedef struct Loading
{
	BmwDispatcher *dispatcher;
	int64 endpoint_id;
} Loading;

static void *grow(void *items, int *capacity, size_t size);
static void place(BmwDispatcher *dispatcher, BmwOrdered *item);
static void want(BmwDispatcher *dispatcher, int64 endpoint_id, const BmwUuid *id);
static int room_for(const BmwDispatcher *dispatcher, const BmwWanted *wanted);
static void fetch_wanted(BmwDispatcher *dispatcher, BmwWanted *wanted);
static void add_unfinished(const BmwUuid *id, const char *application, const char *message_id,
						   void *context);
static void want_head(const BmwUuid *id, void *context);

BmwOrderKey
bmw_ordering_key(int64 endpoint_id, const uint64_t *message)
{
	return (BmwOrderKey){.endpoint_id = endpoint_id, .message = {message[0], message[1]}};
}

void
bmw_ordering_take(BmwDispatcher *dispatcher, BmwEvent *event, int64 endpoint_id, BmwPass *pass)
{
	BmwOrdering *ordering = &dispatcher->ordering;
	BmwOrdered *item;

	if (ordering->length == ordering->capacity)
		ordering->items = grow(ordering->items, &ordering->capacity, sizeof(*item));
	item = &ordering->items[ordering->length];
	*item = (BmwOrdered){.key = bmw_ordering_key(endpoint_id, event->message),
						 .id = event->id,
						 .pass = pass};
	if (bmw_order_add(ordering->order, &item->key, &item->id) != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	ordering->length++;
	pass->unsettled++;
	if (ordering->length <= MAX_KEPT && dispatcher->bytes < BMW_MAX_BYTES)
	{
		item->event = bmw_event_retain(event);
		dispatcher->bytes += event->body_len;
	}
	else
		bmw_recorder_park(dispatcher, event, endpoint_id, pass, BMW_HELD_BACK);
}

void
bmw_ordering_end_pass(BmwDispatcher *dispatcher)
{
	BmwOrdering *ordering = &dispatcher->ordering;

	for (int i = 0; i < ordering->length; i++)
		place(dispatcher, &ordering->items[i]);
	ordering->length = 0;
}

void
bmw_ordering_ended(BmwDispatcher *dispatcher, const BmwRecord *record)
{
	BmwOrderKey key = bmw_ordering_key(record->endpoint_id, record->message);
	BmwUuid next;

	if (bmw_order_remove(dispatcher->ordering.order, &key, &record->event_id, &next))
		want(dispatcher, record->endpoint_id, &next);
}

bool
bmw_ordering_is_head(BmwDispatcher *dispatcher, const BmwLane *lane, const BmwUuid *id,
					 const uint64_t *message)
{
	const BmwEndpoint *endpoint = lane != NULL ? bmw_lane_tag(lane) : NULL;
	BmwOrderKey key;

	if (endpoint == NULL || !endpoint->is_ordered || (message[0] == 0 && message[1] == 0))
		return true;
	key = bmw_ordering_key(endpoint->id, message);
	/* it may be new to its chain: it had no row yet when the endpoint began to keep the order */
	if (bmw_order_add(dispatcher->ordering.order, &key, id) != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	return bmw_order_is_head(dispatcher->ordering.order, &key, id);
}

bool
bmw_ordering_wants(const BmwDispatcher *dispatcher)
{
	HASH_SEQ_STATUS scan;
	BmwWanted *wanted;
	bool can_fetch = false;

	/* after a crash the earlier event of a message may have no row: intake finds it */
	if (dispatcher->intake.is_recovering || dispatcher->ordering.needs_flush ||
		dispatcher->is_stopping || !bmw_enabled || bmw_recorder_is_full(dispatcher))
		return false;
	hash_seq_init(&scan, dispatcher->ordering.wanted);
	while ((wanted = hash_seq_search(&scan)) != NULL)
		can_fetch |= wanted->length > 0 && room_for(dispatcher, wanted) > 0;
	return can_fetch;
}

void
bmw_ordering_fetch(BmwDispatcher *dispatcher)
{
	HASH_SEQ_STATUS scan;
	BmwWanted *wanted;

	if (!bmw_ordering_wants(dispatcher))
		return;
	hash_seq_init(&scan, dispatcher->ordering.wanted);
	while ((wanted = hash_seq_search(&scan)) != NULL)
		fetch_wanted(dispatcher, wanted);
}

void
bmw_ordering_begin(BmwDispatcher *dispatcher, int64 endpoint_id)
{
	Loading loading = {.dispatcher = dispatcher, .endpoint_id = endpoint_id};

	bmw_store_unfinished(endpoint_id, add_unfinished, &loading);
	bmw_ordering_resume(dispatcher, endpoint_id);
}

void
bmw_ordering_resume(BmwDispatcher *dispatcher, int64 endpoint_id)
{
	Loading loading = {.dispatcher = dispatcher, .endpoint_id = endpoint_id};

	bmw_order_heads(dispatcher->ordering.order, endpoint_id, want_head, &loading);
}

void
bmw_ordering_resume_all(BmwDispatcher *dispatcher)
{
	HASH_SEQ_STATUS scan;
	int64 *endpoint_id;

	hash_seq_init(&scan, dispatcher->ordering.endpoints);
	while ((endpoint_id = hash_seq_search(&scan)) != NULL)
		bmw_ordering_resume(dispatcher, *endpoint_id);
}

static void *
grow(void *items, int *capacity, size_t size)
{
	int wanted = Max(*capacity * 2, 1024);
	void *grown = realloc(items, size * wanted);

	if (grown == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	*capacity = wanted;
	return grown;
}

static void
place(BmwDispatcher *dispatcher, BmwOrdered *item)
{
	BmwLane *lane = bmw_lanes_find(dispatcher->lanes, item->key.endpoint_id);
	bool is_head = bmw_ordering_is_head(dispatcher, lane, &item->id, item->key.message);

	if (item->event == NULL)
	{
		dispatcher->ordering.needs_flush = true;
		if (is_head)
			want(dispatcher, item->key.endpoint_id, &item->id);
		return;
	}
	if (is_head && lane != NULL && !bmw_lane_is_stopped(lane) && bmw_lane_room_new(lane) > 0)
	{
		BmwJob *job = bmw_job_create(dispatcher, item->event, bmw_lane_tag(lane));

		job->pass = item->pass;
		bmw_lane_push_new(lane, job, dispatcher->now_us);
	}
	else
		bmw_recorder_park(dispatcher, item->event, item->key.endpoint_id, item->pass,
						  is_head ? 0 : BMW_HELD_BACK);
	dispatcher->bytes -= item->event->body_len;
	bmw_event_release(item->event);
}

static void
want(BmwDispatcher *dispatcher, int64 endpoint_id, const BmwUuid *id)
{
	bool is_known;
	BmwWanted *wanted =
		hash_search(dispatcher->ordering.wanted, &endpoint_id, HASH_ENTER, &is_known);

	if (!is_known)
		*wanted = (BmwWanted){.endpoint_id = endpoint_id};
	if (wanted->length == wanted->capacity)
		wanted->ids = grow(wanted->ids, &wanted->capacity, sizeof(*wanted->ids));
	wanted->ids[wanted->length++] = *id;
}

/* How many of them can be fetched now; those of a lane that is gone or stopped are dropped. */
static int
room_for(const BmwDispatcher *dispatcher, const BmwWanted *wanted)
{
	const BmwLane *lane = bmw_lanes_find(dispatcher->lanes, wanted->endpoint_id);
	int room = lane != NULL && !bmw_lane_is_stopped(lane) ? bmw_lane_room_due(lane) : FETCH_AT_ONCE;

	return Min(Min(room, FETCH_AT_ONCE), wanted->length);
}

/* An id leaves the list when the statement has succeeded. */
static void
fetch_wanted(BmwDispatcher *dispatcher, BmwWanted *wanted)
{
	BmwLane *lane = bmw_lanes_find(dispatcher->lanes, wanted->endpoint_id);
	int length = room_for(dispatcher, wanted);

	if (length == 0)
		return;
	if (lane != NULL && !bmw_lane_is_stopped(lane))
		bmw_sender_fetch_held(dispatcher, lane, wanted->ids, length);
	wanted->length -= length;
	memmove(wanted->ids, wanted->ids + length, sizeof(*wanted->ids) * wanted->length);
}

static void
add_unfinished(const BmwUuid *id, const char *application, const char *message_id, void *context)
{
	Loading *loading = context;
	BmwOrderKey key = bmw_order_key(loading->endpoint_id, application, message_id);

	if (bmw_order_add(loading->dispatcher->ordering.order, &key, id) != BMW_OK)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
}

static void
want_head(const BmwUuid *id, void *context)
{
	Loading *loading = context;

	want(loading->dispatcher, loading->endpoint_id, id);
}
