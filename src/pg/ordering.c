/*
 * pg/ordering.c - endpoints that want the events of a message in order.
 *
 * core/order.h knows which delivery of a message is the head. Only heads are in
 * lanes; the others have a row that is held back (due at infinity), and are
 * fetched by id when they become the head, which is when the outcome of the one
 * before has been committed: so a crash repeats a delivery, but never turns two
 * around. Events of one pass may have ids in another order than they are read
 * in, therefore they are placed when the pass has been read to its end.
 */
#include "postgres.h"

#include "pg/dispatcher.h"

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
static int take_wanted(BmwDispatcher *dispatcher, int64 endpoint_id, BmwUuid *ids, int room);
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
	if (ordering->length <= MAX_KEPT)
		item->event = bmw_event_retain(event);
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
bmw_ordering_is_head(const BmwDispatcher *dispatcher, int64 endpoint_id, const BmwEvent *event)
{
	BmwOrderKey key = bmw_ordering_key(endpoint_id, event->message);

	return bmw_order_is_head(dispatcher->ordering.order, &key, &event->id);
}

bool
bmw_ordering_wants(const BmwDispatcher *dispatcher)
{
	/* after a crash the earlier event of a message may have no row: intake finds it */
	return dispatcher->ordering.wanted_length > 0 && !dispatcher->intake.is_recovering;
}

void
bmw_ordering_fetch(BmwDispatcher *dispatcher)
{
	BmwOrdering *ordering = &dispatcher->ordering;

	while (bmw_ordering_wants(dispatcher))
	{
		BmwUuid ids[FETCH_AT_ONCE];
		int64 endpoint_id = ordering->wanted[ordering->wanted_length - 1].endpoint_id;
		BmwLane *lane = bmw_lanes_find(dispatcher->lanes, endpoint_id);
		bool is_gone = lane == NULL || bmw_lane_is_stopped(lane);
		int length =
			take_wanted(dispatcher, endpoint_id, ids,
						is_gone ? FETCH_AT_ONCE : Min(bmw_lane_room_due(lane), FETCH_AT_ONCE));

		if (length == 0)
			return; /* that lane is full: the next cycle goes on */
		if (!is_gone)
			bmw_sender_fetch_held(dispatcher, lane, ids, length);
	}
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
	bool is_head = bmw_order_is_head(dispatcher->ordering.order, &item->key, &item->id);

	if (item->event == NULL)
	{
		dispatcher->ordering.needs_flush = true;
		if (is_head)
			want(dispatcher, item->key.endpoint_id, &item->id);
		return;
	}
	if (is_head && lane != NULL && bmw_lane_room_new(lane) > 0)
	{
		BmwJob *job = bmw_job_create(dispatcher, item->event);

		job->pass = item->pass;
		bmw_lane_push_new(lane, job, dispatcher->now_us);
	}
	else
		bmw_recorder_park(dispatcher, item->event, item->key.endpoint_id, item->pass,
						  is_head ? 0 : BMW_HELD_BACK);
	bmw_event_release(item->event);
}

static void
want(BmwDispatcher *dispatcher, int64 endpoint_id, const BmwUuid *id)
{
	BmwOrdering *ordering = &dispatcher->ordering;

	if (ordering->wanted_length == ordering->wanted_capacity)
		ordering->wanted =
			grow(ordering->wanted, &ordering->wanted_capacity, sizeof(*ordering->wanted));
	ordering->wanted[ordering->wanted_length++] =
		(BmwDeliveryKey){.event_id = *id, .endpoint_id = endpoint_id};
}

/* Moves up to room of the endpoint's wanted ids out of the list. */
static int
take_wanted(BmwDispatcher *dispatcher, int64 endpoint_id, BmwUuid *ids, int room)
{
	BmwOrdering *ordering = &dispatcher->ordering;
	int taken = 0;
	int kept = 0;

	for (int i = 0; i < ordering->wanted_length; i++)
	{
		if (ordering->wanted[i].endpoint_id == endpoint_id && taken < room)
			ids[taken++] = ordering->wanted[i].event_id;
		else
			ordering->wanted[kept++] = ordering->wanted[i];
	}
	ordering->wanted_length = kept;
	return taken;
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
