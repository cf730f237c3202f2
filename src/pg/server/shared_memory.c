/*
 * pg/server/shared_memory.c - what backends, the launcher and the dispatchers share.
 *
 * Slots are handed out and taken back by the launcher alone, under the lock.
 * Backends read slots[].database without it: a stale answer costs a wake-up too
 * many, or one too few, which the dispatcher's periodic look makes good.
 */
#include "postgres.h"

#include "pg/server/shared_memory.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"

BmwShared *bmw_shared = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void copy_text(char *to, const char *message);
static void request(void);
static void startup(void);
static void init_slot(BmwSlot *slot);

void
bmw_shmem_init(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup;
}

void
bmw_shmem_wake(pg_atomic_uint32 *number)
{
	uint32 proc = pg_atomic_read_u32(number);

	if (proc != 0)
		SetLatch(&GetPGProcByNumber(proc - 1)->procLatch);
}

void
bmw_shmem_request(Oid database)
{
	bool is_known = false;

	LWLockAcquire(bmw_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < bmw_shared->requests_length; i++)
		is_known |= bmw_shared->requests[i] == database;
	if (!is_known && bmw_shared->requests_length < BMW_MAX_REQUESTS)
		bmw_shared->requests[bmw_shared->requests_length++] = database;
	else if (!is_known)
		bmw_shared->look_at_all = true;
	LWLockRelease(bmw_shared->lock);
	bmw_shmem_wake(&bmw_shared->launcher);
}

int
bmw_shmem_each(Oid database, void (*fn)(BmwSlot *slot))
{
	int found = 0;

	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (bmw_shared->slots[i].database == database)
		{
			fn(&bmw_shared->slots[i]);
			found++;
		}
	return found;
}

void
bmw_shmem_note_due(BmwSlot *slot, int64 endpoint_id)
{
	int length;
	int i = 0;

	SpinLockAcquire(&slot->mutex);
	length = (int) pg_atomic_read_u32(&slot->due_length);
	while (i < length && slot->due[i] != endpoint_id)
		i++;
	if (i == length && length < BMW_MAX_DUE)
	{
		slot->due[length] = endpoint_id;
		pg_atomic_write_u32(&slot->due_length, length + 1);
	}
	SpinLockRelease(&slot->mutex);
	if (i == BMW_MAX_DUE)
		pg_atomic_write_u32(&slot->has_due, 1);
}

int
bmw_shmem_take_due(BmwSlot *slot, int64 *endpoints)
{
	int length;

	if (pg_atomic_read_u32(&slot->due_length) == 0)
		return 0;
	SpinLockAcquire(&slot->mutex);
	length = (int) pg_atomic_read_u32(&slot->due_length);
	memcpy(endpoints, slot->due, sizeof(*endpoints) * length);
	pg_atomic_write_u32(&slot->due_length, 0);
	SpinLockRelease(&slot->mutex);
	return length;
}

void
bmw_shmem_forget(BmwSlot *slot)
{
	SpinLockAcquire(&slot->mutex);
	memset(&slot->numbers, 0, sizeof(slot->numbers));
	slot->last_error_at = 0;
	slot->upkeep = (BmwUpkeepReport){0};
	slot->troubles = (BmwTroubles){0};
	slot->lacks_partitions = false;
	*slot->not_adopted = '\0';
	SpinLockRelease(&slot->mutex);
	pg_atomic_write_u32(&slot->waits_for_adopt, 0);
}

void
bmw_shmem_error(BmwSlot *slot, const char *message)
{
	SpinLockAcquire(&slot->mutex);
	copy_text(slot->last_error, message);
	slot->last_error_at = GetCurrentTimestamp();
	SpinLockRelease(&slot->mutex);
}

bool
bmw_shmem_upkeep(BmwSlot *slot, TimestampTz started_at, int kept, int failures, const char *problem)
{
	BmwUpkeepReport report = {.kept = kept,
							  .failures = failures,
							  .started_at = started_at,
							  .ended_at = GetCurrentTimestamp()};
	bool is_new;

	copy_text(report.problem, problem);
	SpinLockAcquire(&slot->mutex);
	is_new = strcmp(slot->upkeep.problem, report.problem) != 0;
	slot->upkeep = report;
	SpinLockRelease(&slot->mutex);
	return is_new;
}

bool
bmw_shmem_not_adopted(BmwSlot *slot, const char *why_not)
{
	bool is_new;

	SpinLockAcquire(&slot->mutex);
	is_new = (*slot->not_adopted == '\0') != (*why_not == '\0');
	copy_text(slot->not_adopted, why_not);
	SpinLockRelease(&slot->mutex);
	return is_new;
}

bool
bmw_shmem_lacks_partitions(BmwSlot *slot, bool lacks_some)
{
	BmwSlot *first = bmw_shmem_first(slot->database);
	bool is_new;

	if (first == NULL)
		return false;
	SpinLockAcquire(&first->mutex);
	is_new = first->lacks_partitions != lacks_some;
	first->lacks_partitions = lacks_some;
	SpinLockRelease(&first->mutex);
	return is_new;
}

void
bmw_shmem_capture_failed(Oid database, const char *message)
{
	BmwSlot *slot = bmw_shmem_first(database);

	if (slot == NULL)
		return;
	SpinLockAcquire(&slot->mutex);
	slot->capture_failures++;
	slot->capture_failed_at = GetCurrentTimestamp();
	copy_text(slot->capture_error, message);
	SpinLockRelease(&slot->mutex);
}

BmwSlot *
bmw_shmem_first(Oid database)
{
	if (bmw_shared == NULL)
		return NULL;
	for (int i = 0; i < bmw_shared->slots_length; i++)
		if (bmw_shared->slots[i].database == database && bmw_shared->slots[i].shard == 0)
			return &bmw_shared->slots[i];
	return NULL;
}

static void
copy_text(char *to, const char *message)
{
	int len = pg_mbcliplen(message, (int) strlen(message), BMW_LAST_ERROR_SIZE - 1);

	memcpy(to, message, len);
	to[len] = '\0';
}

static void
request(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(BmwShared)));
	RequestNamedLWLockTranche("bm_webhook", 1);
}

static void
startup(void)
{
	bool found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	bmw_shared = ShmemInitStruct("bm_webhook", sizeof(BmwShared), &found);
	if (!found)
	{
		memset(bmw_shared, 0, sizeof(BmwShared));
		bmw_shared->lock = &GetNamedLWLockTranche("bm_webhook")->lock;
		pg_atomic_init_u32(&bmw_shared->launcher, 0);
		for (int i = 0; i < BMW_MAX_SLOTS; i++)
			init_slot(&bmw_shared->slots[i]);
		for (int i = 0; i < BMW_TOKEN_SETS; i++)
		{
			SpinLockInit(&bmw_shared->tokens[i].mutex);
			SpinLockInit(&bmw_shared->emit_tokens[i].mutex);
		}
		for (int i = 0; i < BMW_PLACE_SETS; i++)
		{
			SpinLockInit(&bmw_shared->places[i].mutex);
			SpinLockInit(&bmw_shared->destinations[i].mutex);
		}
		if (!pg_strong_random(&bmw_shared->destination_seed, sizeof(bmw_shared->destination_seed)))
			ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("could not generate a random number"));
		for (int i = 0; i < BMW_REPORT_SETS; i++)
			SpinLockInit(&bmw_shared->reports[i].mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

static void
init_slot(BmwSlot *slot)
{
	pg_atomic_init_u32(&slot->proc, 0);
	pg_atomic_init_u32(&slot->is_awake, 0);
	pg_atomic_init_u32(&slot->changing, 0);
	pg_atomic_init_u64(&slot->generation, 1);
	pg_atomic_init_u32(&slot->has_due, 0);
	pg_atomic_init_u32(&slot->due_length, 0);
	pg_atomic_init_u32(&slot->has_operation, 0);
	pg_atomic_init_u32(&slot->has_upkeep, 0);
	pg_atomic_init_u32(&slot->failing, 0);
	pg_atomic_init_u32(&slot->waits_for_adopt, 0);
	ConditionVariableInit(&slot->flushed);
	SpinLockInit(&slot->mutex);
}
