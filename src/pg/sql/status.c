/*
 * pg/sql/status.c - what a user asks about dispatchers: dispatchers(), keeper(), wait_for_delivery(), announce(), look().
 *
 * Reads shared memory without stopping anybody. Where the library is not
 * preloaded there is none: the answer then says so.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pg/server/compat.h"
#include "pg/server/settings.h"
#include "pg/server/notify.h"
#include "pg/server/shared_memory.h"
#include "pg/sql/event_state.h"
#include "pgstat.h"
#include "storage/spin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/wait_event.h"

#define COLUMNS 16
#define LOOK_AGAIN_MS 1000 /* should nobody broadcast */

PG_FUNCTION_INFO_V1(bm_webhook_dispatchers);
PG_FUNCTION_INFO_V1(bm_webhook_keeper);
PG_FUNCTION_INFO_V1(bm_webhook_wait_for_delivery);
PG_FUNCTION_INFO_V1(bm_webhook_announce);
PG_FUNCTION_INFO_V1(bm_webhook_look);

typedef struct StateText
{
	const char *name;
	const char *reason; /* NULL: needs none */
} StateText;

/* What somebody gets to see of the dispatchers. */
typedef enum Sight
{
	SEES_STATE,	   /* of this database: how it is, no process, no text of an error */
	SEES_DATABASE, /* all of this database */
	SEES_ALL
} Sight;

static const StateText state_texts[] = {
	[BMW_SLOT_FREE] = {"absent", "the extension is not in this database"},
	[BMW_SLOT_STARTING] = {"starting", NULL},
	[BMW_SLOT_RUNNING] = {"running", NULL},
	[BMW_SLOT_HELD] = {"held", "a command needs the database or the extension alone"},
	[BMW_SLOT_NO_WORKER] = {"no worker", "max_worker_processes is used up"},
	[BMW_SLOT_FAILED] = {"failed", "ended by an error; it is started again"},
	[BMW_SLOT_FENCED] =
		{"fenced",
		 "bm_webhook.fence_command does not allow this server to send: it is asked again every 10 seconds"},
	[BMW_SLOT_OUTDATED] =
		{"outdated",
		 "the extension's version is not the library's: ALTER EXTENSION bm_webhook UPDATE, or restart the server"},
	[BMW_SLOT_NOT_ADOPTED] = {"not adopted", NULL},
};

static Sight sight_of(Oid user);
static void put_slots(ReturnSetInfo *result);
static void put_slot(ReturnSetInfo *result, const BmwSlot *slot, bool is_whole);
static bool may_send(const BmwSlot *slot);
static void put_absence(ReturnSetInfo *result, const char *state, const char *reason);
static const char *absence(void);
static void put_upkeep(ReturnSetInfo *result, const BmwUpkeepReport *upkeep);
static Datum text_or_null(const char *text, bool *is_null);
static const char *why_not_delivered(BmwEventState state, const BmwSlot *slot);
static void check_can_wait(const BmwUuid *id);
static const char *uuid_text(const BmwUuid *id);
static void sleep_until_flush(BmwSlot *slot, TimestampTz deadline);

/* dispatchers(): a row for each dispatcher of the cluster, at least one for this database. */
Datum
bm_webhook_dispatchers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (bmw_shared == NULL)
		put_absence(result, "not loaded", "bm_webhook is not in shared_preload_libraries");
	else
		put_slots(result);
	return (Datum) 0;
}

/* keeper(): a row for the last run of the keeper of this database, if there was one since the server's start. */
Datum
bm_webhook_keeper(PG_FUNCTION_ARGS)
{
	BmwSlot *slot = bmw_shmem_first(MyDatabaseId);
	BmwUpkeepReport upkeep = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (slot == NULL)
		return (Datum) 0;
	SpinLockAcquire(&slot->mutex);
	upkeep = slot->upkeep;
	SpinLockRelease(&slot->mutex);
	if (upkeep.ended_at != 0)
		put_upkeep((ReturnSetInfo *) fcinfo->resultinfo, &upkeep);
	return (Datum) 0;
}

/*
 * wait_for_delivery(event uuid, timeout interval) returns boolean: true when it
 * has deliveries and all are delivered; false when one failed or was canceled,
 * when no endpoint matches, or at the timeout: a NOTICE says which.
 */
Datum
bm_webhook_wait_for_delivery(PG_FUNCTION_ARGS)
{
	pg_uuid_t *event = PG_GETARG_UUID_P(0);
	TimestampTz deadline = DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()), PG_GETARG_DATUM(1)));
	BmwSlot *slot = bmw_shmem_first(MyDatabaseId); /* of other shards it hears once a second */
	BmwUuid id;
	BmwEventState state;

	memcpy(id.bytes, event->data, sizeof(id.bytes));
	check_can_wait(&id);
	if (slot != NULL)
		ConditionVariablePrepareToSleep(&slot->flushed);
	while ((state = bmw_event_state_read(&id)) == BMW_EVENT_WAITING &&
		   GetCurrentTimestamp() < deadline)
		sleep_until_flush(slot, deadline);
	ConditionVariableCancelSleep();
	if (state != BMW_EVENT_DELIVERED)
		ereport(NOTICE, errmsg("%s", why_not_delivered(state, slot)));
	PG_RETURN_BOOL(state == BMW_EVENT_DELIVERED);
}

/* announce(): the extension is being created in this database. */
Datum
bm_webhook_announce(PG_FUNCTION_ARGS)
{
	if (bmw_shared == NULL)
		ereport(WARNING, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("bm_webhook is not preloaded: events are captured, but nothing is sent"),
				errhint("Add bm_webhook to shared_preload_libraries and restart the server."));
	bmw_notify_extension();
	PG_RETURN_VOID();
}

/*
 * look(endpoint bigint): deliveries that this transaction has made due. Version 0.2.0
 * did not say of which endpoint. Of many endpoints the dispatcher looks at all, at most once a second.
 */
Datum
bm_webhook_look(PG_FUNCTION_ARGS)
{
	Oid delivery = get_relname_relid("delivery", get_namespace_oid("bm_webhook", false));

	if (pg_attribute_aclcheck_all(delivery, GetUserId(), ACL_UPDATE, ACLMASK_ANY) != ACLCHECK_OK &&
		pg_class_aclcheck(delivery, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("permission denied for function look"),
				errhint("It is for those who can make deliveries due: who can UPDATE "
						"bm_webhook.delivery."));
	if (PG_NARGS() > 0)
		bmw_notify_due_for(PG_GETARG_INT64(0));
	else
		bmw_notify_due();
	PG_RETURN_VOID();
}

/* Texts of errors may quote rows, and other databases are nobody's business who is not trusted with all. */
static Sight
sight_of(Oid user)
{
	Oid extension = get_extension_oid("bm_webhook", true);

	if (has_privs_of_role(user, ROLE_PG_MONITOR))
		return SEES_ALL;
	if (bmw_owns_database(MyDatabaseId, user) ||
		(OidIsValid(extension) && bmw_owns_extension(extension, user)))
		return SEES_DATABASE;
	return SEES_STATE;
}

static void
put_slots(ReturnSetInfo *result)
{
	const Sight sight = sight_of(GetUserId());
	bool is_here = false;

	LWLockAcquire(bmw_shared->lock, LW_SHARED);
	for (int i = 0; i < bmw_shared->slots_length; i++)
	{
		const BmwSlot *slot = &bmw_shared->slots[i];

		is_here |= slot->database == MyDatabaseId;
		if (slot->database != MyDatabaseId && sight != SEES_ALL)
			continue;
		/* while it looks for the extension in some other database it is none of theirs */
		if (OidIsValid(slot->database) &&
			(slot->state != BMW_SLOT_STARTING || slot->database == MyDatabaseId))
			put_slot(result, slot, sight != SEES_STATE);
	}
	LWLockRelease(bmw_shared->lock);
	if (!is_here)
		put_absence(result, "not running", absence());
}

static void
put_slot(ReturnSetInfo *result, const BmwSlot *slot, bool is_whole)
{
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS] = {0};
	BmwSlot copy;
	const char *reason = state_texts[slot->state].reason;
	bool is_recording;
	bool is_adopted;

	SpinLockAcquire((slock_t *) &slot->mutex);
	copy = *slot;
	SpinLockRelease((slock_t *) &slot->mutex);
	if (slot->state == BMW_SLOT_RUNNING && copy.numbers.is_holding)
		reason = "bm_webhook.enabled is off: nothing is sent";
	else if (slot->state == BMW_SLOT_RUNNING && copy.numbers.max_in_flight_cut_to != 0)
		reason = psprintf("bm_webhook.max_in_flight is cut to %d: the server's hard limit of open "
						  "files is too low",
						  copy.numbers.max_in_flight_cut_to);
	else if (slot->state == BMW_SLOT_RUNNING && copy.numbers.sealed > 0)
		reason = psprintf("%d endpoints wait: their secrets cannot be decrypted with the keys of "
						  "bm_webhook.secret_key_file",
						  copy.numbers.sealed);
	else if (slot->state == BMW_SLOT_RUNNING && *copy.upkeep.problem != '\0')
		reason = is_whole ? psprintf("the log is not kept in order: %s", copy.upkeep.problem)
						  : "the log is not kept in order";
	is_adopted = may_send(&copy);
	if (!is_adopted)
		reason = slot->state == BMW_SLOT_RUNNING
					 ? copy.not_adopted
					 : psprintf("%s; its background worker is needed elsewhere", copy.not_adopted);
	is_recording = slot->state != BMW_SLOT_RUNNING || copy.numbers.unrecorded_since == 0;
	if (!is_recording)
		reason =
			psprintf("the log cannot be written: %d outcomes wait in memory; last_error says why",
					 copy.numbers.unrecorded);
	values[0] = ObjectIdGetDatum(slot->database);
	values[1] = Int32GetDatum(slot->shard);
	values[2] = CStringGetTextDatum(!is_recording ? "not recording"
									: !is_adopted ? "not adopted"
												  : state_texts[slot->state].name);
	values[3] = text_or_null(reason, &nulls[3]);
	values[4] = TimestampTzGetDatum(is_recording ? slot->since : copy.numbers.unrecorded_since);
	values[5] = Int32GetDatum(slot->pid);
	nulls[5] = slot->pid == 0 || !is_whole;
	values[6] = Int32GetDatum(copy.numbers.in_flight);
	values[7] = Int32GetDatum(copy.numbers.queued);
	values[8] = Int32GetDatum(copy.numbers.unrecorded);
	values[9] = Int64GetDatum(copy.numbers.sent);
	values[10] = Int64GetDatum(copy.numbers.resent);
	values[11] =
		text_or_null(copy.last_error_at != 0 && is_whole ? copy.last_error : NULL, &nulls[11]);
	values[12] = TimestampTzGetDatum(copy.last_error_at);
	nulls[12] = copy.last_error_at == 0;
	values[13] = Int64GetDatum(copy.capture_failures);
	values[14] = text_or_null(copy.capture_failed_at != 0 && is_whole ? copy.capture_error : NULL,
							  &nulls[14]);
	values[15] = TimestampTzGetDatum(copy.capture_failed_at);
	nulls[15] = copy.capture_failed_at == 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Or would be, but for what its state says. */
static bool
may_send(const BmwSlot *slot)
{
	return (slot->state != BMW_SLOT_RUNNING && slot->state != BMW_SLOT_NOT_ADOPTED) ||
		   *slot->not_adopted == '\0';
}

static void
put_absence(ReturnSetInfo *result, const char *state, const char *reason)
{
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS];

	memset(nulls, true, sizeof(nulls));
	values[0] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = CStringGetTextDatum(state);
	values[3] = CStringGetTextDatum(reason);
	nulls[0] = nulls[2] = nulls[3] = false;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static const char *
absence(void)
{
	if (RecoveryInProgress())
		return "this server is a standby: the primary sends";
	if (pg_atomic_read_u32(&bmw_shared->launcher) == 0)
		return "the launcher is not running: max_worker_processes may be used up";
	return "the launcher has not looked at this database yet, or has no room for it: it looks again";
}

static void
put_upkeep(ReturnSetInfo *result, const BmwUpkeepReport *upkeep)
{
	const bool is_whole = sight_of(GetUserId()) != SEES_STATE;
	Datum values[3] = {TimestampTzGetDatum(upkeep->ended_at),
					   Float8GetDatum((upkeep->ended_at - upkeep->started_at) / 1e6)};
	bool nulls[3] = {0};

	values[2] =
		text_or_null(is_whole && *upkeep->problem != '\0' ? upkeep->problem : NULL, &nulls[2]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
text_or_null(const char *text, bool *is_null)
{
	*is_null = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static const char *
why_not_delivered(BmwEventState state, const BmwSlot *slot)
{
	if (state == BMW_EVENT_ENDED)
		return "a delivery of the event failed or was canceled: see bm_webhook.delivery";
	if (state == BMW_EVENT_UNMATCHED)
		return "no enabled endpoint matches the event";
	if (slot != NULL && !may_send(slot))
		return "nothing is sent before adopt() is called in this database: see bm_webhook.status()";
	if (slot == NULL || slot->state != BMW_SLOT_RUNNING)
		return "no dispatcher runs in this database: see bm_webhook.status()";
	if (!bmw_enabled)
		return "nothing is sent while bm_webhook.enabled is off";
	return "a delivery of the event still waits: see bm_webhook.delivery and bm_webhook.backlog";
}

static const char *
uuid_text(const BmwUuid *id)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, PointerGetDatum(id->bytes)));
}

static void
check_can_wait(const BmwUuid *id)
{
	if (IsolationUsesXactSnapshot())
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg(
				"wait_for_delivery() cannot see deliveries made after its transaction's snapshot"),
			errhint("Call it in a READ COMMITTED transaction."));
	switch (bmw_event_state_read(id))
	{
		case BMW_EVENT_UNKNOWN:
			ereport(
				ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("event %s does not exist", uuid_text(id)),
				errhint(
					"Its transaction may not have committed, or its day is no longer in the log."));
			break;
		case BMW_EVENT_UNCOMMITTED:
			ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("wait_for_delivery() cannot wait for an event of its own transaction"),
					errhint("Commit first: an event is sent when its transaction has committed."));
			break;
		case BMW_EVENT_WAITING:
		case BMW_EVENT_DELIVERED:
		case BMW_EVENT_ENDED:
		case BMW_EVENT_UNMATCHED:
			break;
	}
}

static void
sleep_until_flush(BmwSlot *slot, TimestampTz deadline)
{
	long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

	left_ms = Max(Min(left_ms, LOOK_AGAIN_MS), 1);
	if (slot != NULL)
		(void) ConditionVariableTimedSleep(&slot->flushed, left_ms, PG_WAIT_EXTENSION);
	else
		pg_usleep(left_ms * 1000L);
	CHECK_FOR_INTERRUPTS();
}
