/*
 * console/listen_target.h - where events go: requests like the dispatcher's, with a secret of their own.
 */
#ifndef BMW_CONSOLE_LISTEN_TARGET_H
#define BMW_CONSOLE_LISTEN_TARGET_H

#include <stdbool.h>

#include "core/address.h"
#include "core/event.h"
#include "core/http.h"
#include "core/sign.h"

typedef struct BmwTarget
{
	const char *url;
	BmwAddressPolicy policy;
	BmwHttp *http;
	BmwSigner *signer;
	BmwSecret secret;
} BmwTarget;

/* Ends the program when it cannot. Names that lead to another machine are refused when they are called. */
extern void bmw_target_open(BmwTarget *target, const char *url, bool allows_remote);
/* What a receiver needs to verify with; BMW_SECRET_TEXT_SIZE bytes. */
extern void bmw_target_secret(const BmwTarget *target, char *text);
/* Sends one request and waits for its end; NULL: it is over. Valid until the next. */
extern const BmwHttpResult *bmw_target_send(BmwTarget *target, BmwEvent *event, bool is_thin);
extern void bmw_target_close(BmwTarget *target);

#endif
