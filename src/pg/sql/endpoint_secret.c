/*
 * pg/sql/endpoint_secret.c - the trigger that checks a signing secret, and encrypts it.
 *
 * Who writes the text of a secret is not asked for a key: it is encrypted with the first
 * one of the key file. Who changes key_id alone has it encrypted anew. Both together, what
 * is encrypted already, can only come from a copy of the table.
 *
 * No message has the secret in it. (What a client sent is logged by PostgreSQL
 * itself when its statement fails: docs/security.md says how to avoid that.)
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "core/certificate.h"
#include "core/secret.h"
#include "pg/sql/identity.h"
#include "pg/sql/key.h"
#include "pg/sql/limits.h"
#include "pg/sql/ownership.h"
#include "pg/sql/row.h"
#include "pg/sql/sealed.h"
#include "pg/sql/statement.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(bm_webhook_check_endpoint_secret);

/* Of an endpoint of the caller: policies and the foreign key refuse others later, without telling of them. */
static BmwStatement count = {
	"SELECT (SELECT pg_catalog.count(*) FROM bm_webhook.endpoint_secret s"
	" WHERE s.endpoint_id OPERATOR(pg_catalog.=) e.id), e.deleted_at IS NOT NULL"
	" FROM bm_webhook.endpoint e WHERE e.id OPERATOR(pg_catalog.=) $1 AND " BMW_OWNERSHIP,
	3,
	{INT8OID, OIDOID, BOOLOID}};

static void make_secret(BmwRow *row);
static void keep_secret(BmwRow *row);
static void check_secret(BmwRow *row);
static void close_secret(BmwRow *row);
static void close_anew(BmwRow *row);
static char *context_of(const BmwRow *row);
static bool is_certificate(const BmwRow *row);
static void check_certificate(const BmwRow *row);
static BmwSecretKind kind_of(const BmwRow *row);
static void check_expiry(const BmwRow *row);
static void check_count(const BmwRow *row);

Datum
bm_webhook_check_endpoint_secret(PG_FUNCTION_ARGS)
{
	static const char *const required[] = {"endpoint_id", "kind", "secret"};
	static BmwLastId last;
	BmwRow row = bmw_row_begin(fcinfo, "endpoint_secret");

	bmw_row_check_id(&row, &last);
	make_secret(&row);
	bmw_row_require(&row, required, lengthof(required));
	if (!is_certificate(&row))
		(void) kind_of(&row);
	bmw_row_refuse_change(&row, "endpoint_id", "Insert it for the other endpoint.");
	bmw_row_refuse_change(&row, "kind", "Insert another one.");
	keep_secret(&row);
	check_expiry(&row);
	if (bmw_row_has_changed(&row, "endpoint_id"))
		check_count(&row);
	bmw_row_keep_created_at(&row);
	return bmw_row_end(&row);
}

/* Who writes none gets a new one. */
static void
make_secret(BmwRow *row)
{
	BmwSecret key;

	if (bmw_row_is_update(row) || !bmw_row_is_null(row, "secret") || bmw_row_is_null(row, "kind") ||
		is_certificate(row))
		return;
	key = bmw_key_generate(kind_of(row));
	bmw_row_set(row, "secret", bmw_key_datum(&key));
	explicit_bzero(&key, sizeof(key));
}

static void
keep_secret(BmwRow *row)
{
	bool has_key_id = bmw_row_is_update(row) ? bmw_row_has_changed(row, "key_id")
											 : !bmw_row_is_null(row, "key_id");

	if (!bmw_row_has_changed(row, "secret"))
	{
		if (has_key_id)
			close_anew(row);
		return;
	}
	if (has_key_id && !bmw_row_may_choose(row))
		ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("\"key_id\" cannot be chosen"),
				errhint("Leave it out: the extension encrypts the secret."));
	if (has_key_id && !bmw_row_is_null(row, "key_id"))
		return;
	if (is_certificate(row))
		check_certificate(row);
	else
		check_secret(row);
	close_secret(row);
}

/* With the first key that there is. */
static void
close_secret(BmwRow *row)
{
	const char *key_id = bmw_sealed_key_id();
	char *plain;

	if (key_id == NULL)
	{
		bmw_row_set_null(row, "key_id");
		return;
	}
	plain = TextDatumGetCString(bmw_row_value(row, "secret"));
	bmw_row_set(row, "secret", CStringGetTextDatum(bmw_sealed_close(plain, context_of(row))));
	bmw_row_set(row, "key_id", CStringGetTextDatum(key_id));
	explicit_bzero(plain, strlen(plain));
}

/* NULL is for who wants it in plain text. */
static void
close_anew(BmwRow *row)
{
	const char *key_id = bmw_row_was_set(row, "key_id")
							 ? TextDatumGetCString(bmw_row_old_value(row, "key_id"))
							 : NULL;
	char *plain =
		bmw_sealed_open(TextDatumGetCString(bmw_row_value(row, "secret")), key_id, context_of(row));

	if (plain == NULL)
		bmw_key_refuse(
			&(BmwStoredKey){.endpoint_id = DatumGetInt64(bmw_row_value(row, "endpoint_id")),
							.id = DatumGetInt64(bmw_row_value(row, "id"))});
	bmw_row_set(row, "secret", CStringGetTextDatum(plain));
	if (!bmw_row_is_null(row, "key_id"))
		close_secret(row);
	explicit_bzero(plain, strlen(plain));
}

static char *
context_of(const BmwRow *row)
{
	return bmw_sealed_secret_context(DatumGetInt64(bmw_row_value(row, "endpoint_id")),
									 DatumGetInt64(bmw_row_value(row, "id")),
									 TextDatumGetCString(bmw_row_value(row, "kind")));
}

/* A pair of which the first half was given is stored whole. */
static void
check_secret(BmwRow *row)
{
	BmwSecretKind kind = kind_of(row);
	BmwSecret key = bmw_key_parse(DatumGetTextPP(bmw_row_value(row, "secret")));

	if (key.kind != kind)
	{
		explicit_bzero(&key, sizeof(key));
		bmw_row_refuse("invalid secret", "It is not of the kind that \"kind\" says.",
					   "hmac_sha256, the default, begins with whsec_, and ed25519 with whsk_.");
	}
	bmw_row_set(row, "secret", bmw_key_datum(&key));
	explicit_bzero(&key, sizeof(key));
}

static bool
is_certificate(const BmwRow *row)
{
	return !bmw_row_is_null(row, "kind") &&
		   strcmp(TextDatumGetCString(bmw_row_value(row, "kind")), BMW_CLIENT_CERTIFICATE) == 0;
}

static void
check_certificate(const BmwRow *row)
{
	text *pem = DatumGetTextPP(bmw_row_value(row, "secret"));
	BmwStatus status = bmw_certificate_check_client(VARDATA_ANY(pem), VARSIZE_ANY_EXHDR(pem));

	if (status != BMW_OK)
		bmw_row_refuse(
			"invalid client certificate", bmw_status_text(status),
			"Write the certificate, those between it and its authority, and its private key, as PEM.");
}

static BmwSecretKind
kind_of(const BmwRow *row)
{
	BmwSecretKind kind;

	if (!bmw_key_kind(TextDatumGetCString(bmw_row_value(row, "kind")), &kind))
		bmw_row_refuse("invalid \"kind\"", "There is no such kind of secret.",
					   "The kinds are hmac_sha256, the default, ed25519, and client_certificate.");
	return kind;
}

static void
check_expiry(const BmwRow *row)
{
	if (!bmw_row_is_null(row, "expires_at") &&
		TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(bmw_row_value(row, "expires_at"))))
		bmw_row_refuse("\"expires_at\" must be finite", "It is infinite.",
					   "Without one the secret signs until it is deleted.");
}

/*
 * Counted as who owns the table, whom policies do not bind: a dump is restored
 * with row_security off. Sessions that do not see each other's rows may get
 * beyond the limit: the dispatcher uses the newest.
 */
static void
check_count(const BmwRow *row)
{
	BmwCaller caller = bmw_ownership_caller();
	int64 endpoint_id = DatumGetInt64(bmw_row_value(row, "endpoint_id"));
	Datum values[3] = {Int64GetDatum(endpoint_id), caller.role, caller.is_unbound};
	BmwIdentity before = bmw_identity_become(row->relation->rd_rel->relowner);
	bool is_deleted = false;
	int64 length = 0;
	int most;

	SPI_connect();
	if (bmw_statement_run(&count, values) > 0)
	{
		BmwSqlRow result = {SPI_tuptable->vals[0], SPI_tuptable->tupdesc};

		length = bmw_sql_int64(&result, 1);
		is_deleted = bmw_sql_bool(&result, 2);
	}
	SPI_finish();
	bmw_identity_return(before);
	if (is_deleted)
		bmw_ownership_refuse(endpoint_id);
	/* of another's endpoint nothing was counted */
	most = length > 0 ? bmw_limits_secrets(endpoint_id, row->relation->rd_rel->relowner) : 1;
	if (length >= most)
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("the endpoint has too many secrets"),
				errhint("At most %d are allowed: delete old ones by bm_webhook.delete_secret().",
						most));
}
