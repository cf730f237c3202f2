/*
 * pg/sql/endpoint_url.c - may requests be sent to this URL, as far as it says itself?
 *
 * No message has the URL in it: its query may be a credential.
 */
#include "postgres.h"

#include "pg/sql/endpoint_url.h"

#include "core/url.h"
#include "pg/server/settings.h"
#include "utils/builtins.h"

static bool is_of_settings(BmwStatus status);
static const char *url_hint(BmwStatus status);

void
bmw_endpoint_url_check(BmwRow *row, const char *column)
{
	text *url = DatumGetTextPP(bmw_row_value(row, column));
	char normal[BMW_URL_MAX_BYTES + 1];
	BmwAddressPolicy policy;

	bmw_guc_address_policy(&policy);

	BmwStatus status =
		bmw_url_check(VARDATA_ANY(url), VARSIZE_ANY_EXHDR(url), bmw_require_https, &policy, normal);

	bmw_address_policy_free(&policy);
	if (row->is_restored && is_of_settings(status))
	{
		ereport(
			WARNING, errcode(ERRCODE_WARNING),
			errmsg("URL of endpoint " INT64_FORMAT " would not be allowed in a new endpoint",
				   DatumGetInt64(bmw_row_value(row, "id"))),
			errdetail("%s", bmw_status_text(status)),
			errhint("It was restored as it was; addresses are judged again when it is sent to."));
		return;
	}
	if (status == BMW_ERROR_ADDRESS_DENIED || status == BMW_ERROR_PORT_DENIED)
		ereport(
			ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("URL is not allowed"),
			errdetail("%s", bmw_status_text(status)),
			errhint(
				"An administrator can open networks with bm_webhook.allowed_networks, and ports with bm_webhook.allowed_ports."));
	if (status != BMW_OK)
		bmw_row_refuse("invalid URL", bmw_status_text(status), url_hint(status));
	bmw_row_set(row, column, CStringGetTextDatum(normal));
}

/* Those of this server may differ from those of the server where it was registered. */
static bool
is_of_settings(BmwStatus status)
{
	return status == BMW_ERROR_ADDRESS_DENIED || status == BMW_ERROR_PORT_DENIED ||
		   status == BMW_ERROR_URL_HTTPS_REQUIRED;
}

static const char *
url_hint(BmwStatus status)
{
	if (status == BMW_ERROR_URL_HTTPS_REQUIRED)
		return "An administrator can allow http with bm_webhook.require_https = off.";
	if (status == BMW_ERROR_URL_LOCALHOST)
		return "Write it as 127.0.0.1, which an administrator can open with bm_webhook.allowed_networks.";
	return "Use a URL such as https://hooks.example.com/path.";
}
