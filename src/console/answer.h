/*
 * console/answer.h - what goes back: headers, the files of the front end, errors as JSON.
 */
#ifndef BMW_CONSOLE_ANSWER_H
#define BMW_CONSOLE_ANSWER_H

#include <libpq-fe.h>
#include <microhttpd.h>

#include "console/request.h"

/* {"sqlstate", "message", "hint", "detail", "column", "constraint"} of an error; returns its HTTP status. */
extern unsigned bmw_answer_describe(BmwText *reply, const PGresult *error);
/* The same of an error that is ours. */
extern void bmw_answer_explain(BmwText *reply, const char *sqlstate, const char *message);
/* The reply of a request that is done. */
extern enum MHD_Result bmw_answer_send(BmwRequest *request, const char *cookie);
/* What `read` gives, until it ends. */
extern enum MHD_Result bmw_answer_stream(BmwRequest *request, const char *type,
										 MHD_ContentReaderCallback read);
/* A file of the front end, or its first page for a path of its screens. */
extern enum MHD_Result bmw_answer_file(struct MHD_Connection *http, const char *path);

#endif
