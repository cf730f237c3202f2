/*
 * test_request.c - our headers, those of the endpoint, and those that libcurl adds.
 */
#include "core/request.h"

#include "unit.h"

static const BmwEventSource event_source = {.type = "a.b", .data = "{}", .data_len = 2};

static const char *
value_of(const BmwRequestHeaders *headers, const char *name)
{
	for (int i = 0; i < headers->length; i++)
		if (strcmp(headers->items[i].name, name) == 0)
			return headers->items[i].value;
	return "";
}

/* Of two secrets: Stripe's form has both, the others the newest. */
static void
test_scheme(BmwSigner *signer, BmwRequestSource source)
{
	BmwSecret pair = {.kind = BMW_SECRET_ED25519, .len = 64};
	BmwRequestHeaders headers;
	const char *value;
	char hex[BMW_HEX_SIZE];

	CHECK(bmw_request_headers(signer, &source, &headers));
	source.scheme_header = "x-signature";
	CHECK_TEXT(value_of(&headers, "x-signature"), "");
	source.scheme = BMW_SCHEME_HEX;
	CHECK(bmw_request_headers(signer, &source, &headers));
	CHECK_INT(strlen(value_of(&headers, "webhook-signature")), 47 + 1 + 47);
	value = value_of(&headers, "x-signature");
	CHECK(strlen(value) == 64 && strspn(value, "0123456789abcdef") == 64);
	memcpy(hex, value, sizeof(hex));
	source.scheme = BMW_SCHEME_SHA256;
	CHECK(bmw_request_headers(signer, &source, &headers));
	value = value_of(&headers, "x-signature");
	CHECK(memcmp(value, "sha256=", 7) == 0 && strcmp(value + 7, hex) == 0);
	source.scheme = BMW_SCHEME_STRIPE;
	CHECK(bmw_request_headers(signer, &source, &headers));
	value = value_of(&headers, "x-signature");
	CHECK(memcmp(value, "t=1234,v1=", 10) == 0 && memcmp(value + 10 + 64, ",v1=", 4) == 0);
	CHECK_INT(strlen(value), 6 + 2 * (4 + 64));
	source.secrets = &pair;
	source.secrets_length = 1;
	CHECK(bmw_request_headers(signer, &source, &headers));
	CHECK_TEXT(value_of(&headers, "x-signature"), "");
}

static void
test_headers(void)
{
	BmwSigner *signer = bmw_signer_create();
	BmwEvent *event = bmw_event_create(&event_source);
	const BmwHttpHeader own[] = {{"x-a", "1"}, {"Accept", "text/plain"}};
	BmwSecret secrets[2] = {{.key = {1}, .len = 24}, {.key = {2}, .len = 24}};
	BmwRequestSource source = {.event_id = event->id_text,
							   .body = {event->body, event->body_len},
							   .headers = own,
							   .headers_length = 2,
							   .secrets = secrets,
							   .secrets_length = 2,
							   .now_us = 1234999999,
							   .attempt = 3};
	BmwRequestHeaders headers;

	CHECK(bmw_request_headers(signer, &source, &headers));
	CHECK_INT(headers.length, 7);
	CHECK_INT(strlen(value_of(&headers, "webhook-signature")), 47 + 1 + 47);
	CHECK(strcmp(value_of(&headers, "webhook-timestamp"), "1234") == 0);
	CHECK(strcmp(value_of(&headers, "bm-webhook-attempt"), "3") == 0);
	bmw_request_add_libcurls(&headers, "https://a.example:81/x?y=/", "me", event->body_len);
	CHECK(strcmp(value_of(&headers, "host"), "a.example:81") == 0);
	CHECK(strcmp(value_of(&headers, "accept"), "") == 0);
	CHECK(strcmp(value_of(&headers, "user-agent"), "me") == 0);

	secrets[1].expires_us = source.now_us;
	CHECK(bmw_request_headers(signer, &source, &headers));
	CHECK_INT(strlen(value_of(&headers, "webhook-signature")), 47);
	secrets[1].expires_us = source.now_us + 1;
	CHECK(bmw_request_headers(signer, &source, &headers));
	CHECK_INT(strlen(value_of(&headers, "webhook-signature")), 47 + 1 + 47);
	secrets[0].expires_us = secrets[1].expires_us = 1;
	CHECK(!bmw_request_headers(signer, &source, &headers));
	secrets[0].expires_us = secrets[1].expires_us = 0;
	test_scheme(signer, source);
	source.secrets_length = 0;
	CHECK(!bmw_request_headers(signer, &source, &headers));
	source.secrets_length = 2;
	secrets[1].len = 0;
	CHECK(!bmw_request_headers(signer, &source, &headers));
	bmw_event_release(event);
	bmw_signer_destroy(signer);
}

int
main(void)
{
	test_headers();
	return unit_finish("request");
}
