#!/usr/bin/env python3
"""A receiver of webhooks in Python, with nothing but its standard library:

    WEBHOOK_SECRET=whsec_... PORT=8080 INBOX=inbox python3 receiver.py

200: the answer to a challenge, which proves that this URL wants webhooks.
204: taken, or taken before. 401: not from the sender, or too old. Anything
else makes the sender try again. The folder INBOX gets one file for each event.
"""

import hmac
import json
import os
import re
import tempfile
import time
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"), validate=True)
INBOX = os.environ.get("INBOX", "inbox")
TOLERANCE_S = 5 * 60
MAX_BODY = 1024 * 1024


def is_verified(headers, body):
    """body: the bytes as they came; made again from parsed JSON they have another signature."""
    event_id, timestamp, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", event_id) or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    digest = hmac.digest(KEY, f"{event_id}.{timestamp}.".encode() + body, "sha256")
    expected = b"v1," + b64encode(digest)
    # Several while the sender moves from one secret to the next.
    return any(hmac.compare_digest(expected, signature.encode()) for signature in signatures.split(" "))


def keep(event_id, body):
    """False when this event is here already: link() makes the file as a whole, and only once."""
    with tempfile.NamedTemporaryFile(dir=INBOX, prefix=".") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, os.path.join(INBOX, f"{event_id}.json"))
            return True
        except FileExistsError:
            return False


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    timeout = 300

    def do_POST(self):
        status, answer = self.receive()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def receive(self):
        """The status of the answer, and its body."""
        length = self.headers.get("content-length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > MAX_BODY:
            self.close_connection = True
            return 413, b""
        body = self.rfile.read(int(length))
        if not is_verified(self.headers, body):
            return 401, b""
        event = json.loads(body)
        if event["type"] == "webhook.verification":
            return 200, event["data"]["challenge"].encode()
        if keep(self.headers["webhook-id"], body):
            # do the work here, or read the inbox later
            print("new event", event["type"], flush=True)
        return 204, b""

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # with the default of 5 some of many connections at once wait for a second


if __name__ == "__main__":
    os.makedirs(INBOX, exist_ok=True)
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
