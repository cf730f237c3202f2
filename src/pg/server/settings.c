/*
 * pg/server/settings.c - the settings bm_webhook.*: one table row each, checked when set.
 *
 * A text that is not well-formed is refused by its check hook, so whoever reads
 * a setting later can rely on it. Settings that open the network are
 * superuser-only (PGC_SIGHUP: the configuration file, ALTER SYSTEM).
 */
#include "postgres.h"

#include "pg/server/settings.h"

#include <limits.h>

#include "core/archive.h"
#include "miscadmin.h"
#include "pg/server/egress.h"
#include "pg/server/key_file.h"
#include "utils/guc.h"

bool bmw_enabled = true;
bool bmw_require_https = true;
bool bmw_verify_endpoints = false;
bool bmw_count_days = true;
char *bmw_allowed_networks = NULL;
char *bmw_denied_networks = NULL;
char *bmw_allowed_ports = NULL;
int bmw_shards = 0;
int bmw_max_in_flight = 2000;
int bmw_max_in_flight_per_address = 500;
int bmw_max_payload = 262144;
int bmw_flush_interval = 10;
int bmw_disable_after = 432000;
int bmw_idempotency_window = 86400;
int bmw_retention = 0;
char *bmw_partition_interval = NULL;
char *bmw_archive_command = NULL;
char *bmw_archive_format = NULL;
char *bmw_ca_file = NULL;
char *bmw_fence_command = NULL;
char *bmw_secret_key_file = NULL;

typedef struct BoolSetting
{
	const char *name;
	const char *description;
	bool *variable;
	bool initial;
} BoolSetting;

typedef struct IntSetting
{
	const char *name;
	const char *description;
	int *variable;
	int initial;
	int min;
	int max;
	GucContext context;
	int flags;
} IntSetting;

typedef struct TextSetting
{
	const char *name;
	const char *description;
	char **variable;
	const char *initial;
	GucStringCheckHook check;
	GucStringAssignHook assign;
} TextSetting;

static bool check_networks(char **newval, void **extra, GucSource source);
static bool check_ports(char **newval, void **extra, GucSource source);

static bool check_file(char **newval, void **extra, GucSource source);
static bool check_archive_command(char **newval, void **extra, GucSource source);
static bool check_archive_format(char **newval, void **extra, GucSource source);
static bool check_partition_interval(char **newval, void **extra, GucSource source);

static const BoolSetting bool_settings[] = {
	{"bm_webhook.count_days", "Counts for reports what became of each day, in the background.",
	 &bmw_count_days, true},
	{"bm_webhook.enabled", "Sends webhooks; off: they are captured and wait.", &bmw_enabled, true},
	{"bm_webhook.require_https", "Refuses endpoints whose URL is not https.", &bmw_require_https,
	 true},
	{"bm_webhook.verify_endpoints",
	 "Sends nothing to an endpoint that is registered from now on before it has given back a challenge.",
	 &bmw_verify_endpoints, false},
};

static const IntSetting int_settings[] = {
	{"bm_webhook.disable_after",
	 "Disables an endpoint that has failed without a break for this long; 0 never does.",
	 &bmw_disable_after, 432000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S},
	{"bm_webhook.flush_interval",
	 "Longest time that the outcome of a request waits to be recorded.", &bmw_flush_interval, 10, 1,
	 10000, PGC_SIGHUP, GUC_UNIT_MS},
	{"bm_webhook.idempotency_window",
	 "How long an idempotency key keeps another event from being captured under it.",
	 &bmw_idempotency_window, 86400, 1, 31536000, PGC_SUSET, GUC_UNIT_S},
	{"bm_webhook.max_in_flight",
	 "Requests that a dispatcher has open at the same time for one application; for all, twice as many.",
	 &bmw_max_in_flight, 2000, 1, BMW_MAX_IN_FLIGHT, PGC_SIGHUP, 0},
	{"bm_webhook.max_in_flight_per_address",
	 "Requests that go to one address at the same time, whoever has registered it; 0: any number.",
	 &bmw_max_in_flight_per_address, 500, 0, 10000, PGC_SIGHUP, 0},
	{"bm_webhook.max_payload", "Largest data of an event.", &bmw_max_payload, 262144, 1024,
	 64 * 1024 * 1024, PGC_SUSET, GUC_UNIT_BYTE},
	{"bm_webhook.retention",
	 "How long the log is kept; partitions that are older are dropped. 0: until you drop them.",
	 &bmw_retention, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S},
	{"bm_webhook.shards",
	 "Dispatchers that serve each database; 0: two if there are processors and workers for them.",
	 &bmw_shards, 0, 0, 16, PGC_SIGHUP, 0},
};

static const TextSetting text_settings[] = {
	{"bm_webhook.allowed_networks",
	 "Networks that are open although the address policy denies them.", &bmw_allowed_networks, "",
	 check_networks},
	{"bm_webhook.allowed_ports", "Ports that endpoints may use.", &bmw_allowed_ports,
	 "80,443,1024-65535", check_ports},
	{"bm_webhook.archive_command",
	 "Shell command that is given what a partition of the log has, before it is dropped.",
	 &bmw_archive_command, "", check_archive_command, NULL},
	{"bm_webhook.archive_format", "What bm_webhook.archive_command is given: jsonl or csv.",
	 &bmw_archive_format, "jsonl", check_archive_format, NULL},
	{"bm_webhook.ca_file",
	 "File with the certificates of trusted authorities; empty for the system's.", &bmw_ca_file, "",
	 check_file},
	{"bm_webhook.denied_networks", "Networks that are closed whatever else allows them.",
	 &bmw_denied_networks, "", check_networks},
	{"bm_webhook.fence_command",
	 "Shell command that says at the start of a dispatcher whether this server may send.",
	 &bmw_fence_command, "", NULL, NULL},
	{"bm_webhook.partition_interval",
	 "What new partitions of the log are for: a day, a week or a month.", &bmw_partition_interval,
	 "day", check_partition_interval, NULL},
	{"bm_webhook.proxy", "Proxy through which requests leave; empty: none.", &bmw_proxy, "",
	 bmw_egress_check_proxy},
	{"bm_webhook.proxy_credentials_file",
	 "File with the user and the password for the proxy; empty: without.",
	 &bmw_proxy_credentials_file, "", bmw_egress_check_credentials},
	{"bm_webhook.secret_key_file",
	 "File with the keys that secrets are encrypted with; empty: they are not.",
	 &bmw_secret_key_file, "", bmw_key_file_check, bmw_key_file_assign},
	{"bm_webhook.source_address",
	 "Addresses of this machine that connections come from; empty: the system chooses.",
	 &bmw_source_address, "", bmw_egress_check_source},
};

void
bmw_guc_define(void)
{
	for (size_t i = 0; i < lengthof(bool_settings); i++)
	{
		const BoolSetting *s = &bool_settings[i];

		DefineCustomBoolVariable(s->name, s->description, NULL, s->variable, s->initial, PGC_SIGHUP,
								 0, NULL, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(int_settings); i++)
	{
		const IntSetting *s = &int_settings[i];

		DefineCustomIntVariable(s->name, s->description, NULL, s->variable, s->initial, s->min,
								s->max, s->context, s->flags, NULL, NULL, NULL);
	}
	bmw_key_file_is_starting = true;
	for (size_t i = 0; i < lengthof(text_settings); i++)
	{
		const TextSetting *s = &text_settings[i];

		DefineCustomStringVariable(s->name, s->description, NULL, s->variable, s->initial,
								   PGC_SIGHUP, 0, s->check, s->assign, NULL);
	}
	bmw_key_file_is_starting = false;
	MarkGUCPrefixReserved("bm_webhook");
}

void
bmw_guc_address_policy(BmwAddressPolicy *policy)
{
	memset(policy, 0, sizeof(*policy));
	if (bmw_networks_parse(bmw_allowed_networks, &policy->allowed) != BMW_OK ||
		bmw_networks_parse(bmw_denied_networks, &policy->denied) != BMW_OK ||
		bmw_ports_parse(bmw_allowed_ports, &policy->ports) != BMW_OK ||
		bmw_networks_local(&policy->local) != BMW_OK)
	{
		bmw_address_policy_free(policy);
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not read the address policy"));
	}
}

static bool
check_networks(char **newval, void **extra, GucSource source)
{
	BmwNetworks networks;

	if (bmw_networks_parse(*newval, &networks) != BMW_OK)
	{
		GUC_check_errdetail(
			"A comma-separated list of networks such as 10.1.0.0/16 or fd00::/8 is expected, without bits beyond the prefix.");
		return false;
	}
	bmw_networks_free(&networks);
	return true;
}

static bool
check_ports(char **newval, void **extra, GucSource source)
{
	BmwPorts ports;

	if (bmw_ports_parse(*newval, &ports) != BMW_OK)
	{
		GUC_check_errdetail(
			"A comma-separated list of ports and ranges such as 443,8000-8999 is expected.");
		return false;
	}
	return true;
}

static bool
check_file(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("An absolute path is expected, or nothing.");
	return false;
}

static bool
check_archive_command(char **newval, void **extra, GucSource source)
{
	if (bmw_archive_is_valid(*newval))
		return true;
	GUC_check_errdetail(
		"%%f stands for the name of a file, %%d for the database, %%%% for a percent sign.");
	return false;
}

static bool
check_archive_format(char **newval, void **extra, GucSource source)
{
	if (strcmp(*newval, "jsonl") == 0 || strcmp(*newval, "csv") == 0)
		return true;
	GUC_check_errdetail("It is \"jsonl\" or \"csv\".");
	return false;
}

static bool
check_partition_interval(char **newval, void **extra, GucSource source)
{
	if (strcmp(*newval, "day") == 0 || strcmp(*newval, "week") == 0 ||
		strcmp(*newval, "month") == 0)
		return true;
	GUC_check_errdetail("It is \"day\", \"week\" or \"month\".");
	return false;
}
