/*
 * pg/server/notify.c - what a backend tells the dispatcher of its database at commit.
 *
 * XACT_EVENT_COMMIT runs after the transaction has become visible, so a
 * dispatcher that wakes then sees its rows. Between becoming visible and that
 * callback there is a gap in which a dispatcher that is awake anyway could take
 * an event of the transaction without its endpoints: therefore `changing` is
 * raised before the commit and makes the dispatcher read endpoints at every
 * look. That is counted in the slot of shard 0, which all shards look at, because
 * slots of the others may come and go during a transaction. The callbacks can
 * neither fail nor wait.
 */
#include "postgres.h"

#include "pg/server/notify.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pg/server/shared_memory.h"

static bool has_event = false; /* or anything else to wake for */
static bool has_due = false;   /* for nobody knows whom */
static int64 due[BMW_MAX_DUE]; /* endpoints */
static int due_length = 0;
static bool has_operation = false;
static bool has_endpoint = false;
static bool is_new = false; /* the extension itself */
static bool is_adopted = false;
static bool is_changing = false; /* this backend has raised `changing` */

static void on_transaction(XactEvent event, void *arg);
static void begin_change(void);
static void end_change(bool is_committed);
static void wake(void);
static void note_due(BmwSlot *slot);
static void note_due_endpoints(BmwSlot *slot);
static void note_operation(BmwSlot *slot);
static void note_adopted(BmwSlot *slot);
static void raise_changing(BmwSlot *slot);
static void next_generation(BmwSlot *slot);
static void lower_changing(BmwSlot *slot);
static void wake_slot(BmwSlot *slot);

void
bmw_notify_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
}

void
bmw_notify_event(void)
{
	has_event = true;
}

void
bmw_notify_extension(void)
{
	has_event = is_new = true;
}

void
bmw_notify_adopted(void)
{
	has_event = is_adopted = true;
}

void
bmw_notify_due(void)
{
	has_event = has_due = true;
}

void
bmw_notify_due_for(int64 endpoint_id)
{
	has_event = true;
	for (int i = 0; i < due_length; i++)
		if (due[i] == endpoint_id)
			return;
	if (due_length < BMW_MAX_DUE)
		due[due_length++] = endpoint_id;
	else
		has_due = true;
}

void
bmw_notify_operation(void)
{
	has_event = has_operation = true;
}

void
bmw_notify_endpoint(void)
{
	has_endpoint = true;
}

void
bmw_notify_endpoint_is_known(void)
{
	has_endpoint = false;
}

/* What was prepared is not known any more: assume that it holds all of them. */
void
bmw_notify_before_commit_prepared(void)
{
	if (bmw_shared != NULL)
		begin_change();
}

void
bmw_notify_after_commit_prepared(bool is_committed)
{
	if (bmw_shared == NULL)
		return;
	end_change(is_committed);
	if (!is_committed)
		return;
	bmw_shmem_each(MyDatabaseId, note_due);
	bmw_shmem_each(MyDatabaseId, note_operation);
	wake();
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (!has_event && !has_endpoint)
		return;
	if (bmw_shared != NULL)
		switch (event)
		{
			case XACT_EVENT_PRE_COMMIT:
				if (has_endpoint)
					begin_change();
				return;
			case XACT_EVENT_COMMIT:
				end_change(true);
				if (has_due)
					bmw_shmem_each(MyDatabaseId, note_due);
				if (due_length > 0)
					bmw_shmem_each(MyDatabaseId, note_due_endpoints);
				if (has_operation)
					bmw_shmem_each(MyDatabaseId, note_operation);
				if (is_adopted || is_new)
					bmw_shmem_each(MyDatabaseId, note_adopted);
				wake();
				break;
			case XACT_EVENT_ABORT:
				end_change(false);
				break;
			case XACT_EVENT_PREPARE:
				break;
			default:
				return;
		}
	else if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	has_event = has_endpoint = has_due = has_operation = is_new = is_adopted = false;
	due_length = 0;
}

static void
begin_change(void)
{
	if (is_changing)
		return;
	bmw_shmem_each(MyDatabaseId, raise_changing);
	is_changing = true;
}

static void
end_change(bool is_committed)
{
	if (!is_changing)
		return;
	if (is_committed)
		bmw_shmem_each(MyDatabaseId, next_generation);
	bmw_shmem_each(MyDatabaseId, lower_changing);
	is_changing = false;
}

/* A dispatcher of an extension that was dropped may still be there, about to end. One of a copy may have given way. */
static void
wake(void)
{
	if (bmw_shmem_each(MyDatabaseId, wake_slot) == 0 || is_new || is_adopted)
		bmw_shmem_request(MyDatabaseId);
}

static void
note_due(BmwSlot *slot)
{
	pg_atomic_write_u32(&slot->has_due, 1);
}

static void
note_due_endpoints(BmwSlot *slot)
{
	for (int i = 0; i < due_length; i++)
		bmw_shmem_note_due(slot, due[i]);
}

static void
note_operation(BmwSlot *slot)
{
	pg_atomic_write_u32(&slot->has_operation, 1);
	pg_atomic_write_u32(&slot->has_upkeep, 1);
}

/* Whatever its dispatcher found before (pg/dispatch/adoption.c). */
static void
note_adopted(BmwSlot *slot)
{
	pg_atomic_write_u32(&slot->waits_for_adopt, 0);
}

static void
raise_changing(BmwSlot *slot)
{
	if (slot->shard == 0)
		pg_atomic_fetch_add_u32(&slot->changing, 1);
}

static void
next_generation(BmwSlot *slot)
{
	pg_atomic_fetch_add_u64(&slot->generation, 1);
}

static void
lower_changing(BmwSlot *slot)
{
	/* the slot may have been handed out in between: never below zero */
	uint32 value = pg_atomic_read_u32(&slot->changing);

	while (value > 0 && !pg_atomic_compare_exchange_u32(&slot->changing, &value, value - 1))
		;
}

static void
wake_slot(BmwSlot *slot)
{
	if (pg_atomic_exchange_u32(&slot->is_awake, 1) == 0)
		bmw_shmem_wake(&slot->proc);
}
