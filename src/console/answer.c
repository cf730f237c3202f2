/*
 * console/answer.c - what goes back: headers, the files of the front end, errors as JSON.
 */
#include "console/answer.h"

#include <string.h>

#include "console/options.h"
#include "console/web.h"

static const char *const headers[][2] = {
	{"cache-control", "no-store"},
	{"content-security-policy",
	 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
	 "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
	 "require-trusted-types-for 'script'"},
	{"cross-origin-opener-policy", "same-origin"},
	{"cross-origin-resource-policy", "same-origin"},
	{"referrer-policy", "no-referrer"},
	{"x-content-type-options", "nosniff"},
	{"x-frame-options", "DENY"},
};

/* By the beginning of an SQLSTATE; the first that fits. */
static const struct
{
	const char *begins;
	unsigned status;
} statuses[] = {
	{"42501", MHD_HTTP_FORBIDDEN},
	{"25006", MHD_HTTP_FORBIDDEN},
	{"42704", MHD_HTTP_NOT_FOUND},
	{"42883", MHD_HTTP_NOT_FOUND},
	{"57014", MHD_HTTP_GATEWAY_TIMEOUT},
	{"55P03", MHD_HTTP_CONFLICT},
	{"40", MHD_HTTP_CONFLICT},
	{"53", MHD_HTTP_SERVICE_UNAVAILABLE},
	{"57P", MHD_HTTP_SERVICE_UNAVAILABLE},
	{"08", MHD_HTTP_SERVICE_UNAVAILABLE},
	{"22P", MHD_HTTP_BAD_REQUEST},
	{"22021", MHD_HTTP_BAD_REQUEST},
	{"XX", MHD_HTTP_INTERNAL_SERVER_ERROR},
};

static unsigned
status_of(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (strncmp(sqlstate, statuses[i].begins, strlen(statuses[i].begins)) == 0)
			return statuses[i].status;
	return MHD_HTTP_UNPROCESSABLE_CONTENT;
}

unsigned
bmw_answer_describe(BmwText *reply, const PGresult *error)
{
	static const struct
	{
		const char *name;
		int field;
	} fields[] = {
		{"{\"message\":", PG_DIAG_MESSAGE_PRIMARY},	   {",\"hint\":", PG_DIAG_MESSAGE_HINT},
		{",\"detail\":", PG_DIAG_MESSAGE_DETAIL},	   {",\"column\":", PG_DIAG_COLUMN_NAME},
		{",\"constraint\":", PG_DIAG_CONSTRAINT_NAME}, {",\"sqlstate\":", PG_DIAG_SQLSTATE},
	};
	const char *sqlstate = PQresultErrorField(error, PG_DIAG_SQLSTATE);

	bmw_text_free(reply);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		bmw_text_add(reply, fields[i].name);
		bmw_text_add_json(reply, PQresultErrorField(error, fields[i].field));
	}
	bmw_text_add(reply, "}");
	return status_of(sqlstate != NULL ? sqlstate : "08006");
}

void
bmw_answer_explain(BmwText *reply, const char *sqlstate, const char *message)
{
	bmw_text_free(reply);
	bmw_text_add(reply, "{\"sqlstate\":");
	bmw_text_add_json(reply, sqlstate);
	bmw_text_add(reply, ",\"message\":");
	bmw_text_add_json(reply, message);
	bmw_text_add(reply, ",\"hint\":null,\"detail\":null}");
}

static enum MHD_Result
send_response(struct MHD_Connection *http, unsigned status, struct MHD_Response *response,
			  const char *type, const char *cookie)
{
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, "content-type", type);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		MHD_add_response_header(response, headers[i][0], headers[i][1]);
	if (bmw_options_is_secure())
		MHD_add_response_header(response, "strict-transport-security", "max-age=31536000");
	if (cookie != NULL)
		MHD_add_response_header(response, "set-cookie", cookie);
	result = MHD_queue_response(http, status, response);
	MHD_destroy_response(response);
	return result;
}

enum MHD_Result
bmw_answer_send(BmwRequest *request, const char *cookie)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		request->reply.len, request->reply.data, MHD_RESPMEM_MUST_COPY);

	if (request->is_last && response != NULL)
		MHD_add_response_header(response, "connection", "close");
	return send_response(request->http, request->status, response, "application/json", cookie);
}

enum MHD_Result
bmw_answer_stream(BmwRequest *request, const char *type, MHD_ContentReaderCallback read)
{
	struct MHD_Response *response =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read, request, NULL);

	request->is_streaming = true;
	return send_response(request->http, MHD_HTTP_OK, response, type, NULL);
}

enum MHD_Result
bmw_answer_file(struct MHD_Connection *http, const char *path)
{
	static char missing[] = "There is nothing here.\n";
	const BmwWebFile *file = bmw_web_find(path);

	if (file == NULL)
		return send_response(
			http, MHD_HTTP_NOT_FOUND,
			MHD_create_response_from_buffer(strlen(missing), missing, MHD_RESPMEM_PERSISTENT),
			"text/plain; charset=utf-8", NULL);
	return send_response(http, MHD_HTTP_OK,
						 MHD_create_response_from_buffer((size_t) (file->end - file->begin),
														 (void *) file->begin,
														 MHD_RESPMEM_PERSISTENT),
						 bmw_web_type(file), NULL);
}
