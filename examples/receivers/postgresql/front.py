#!/usr/bin/env python3
"""The door between HTTP and PostgreSQL, for the examples: hands each request to
an SQL function and answers with what it returns: a status, or a status and a body.

    PORT=8080 python3 front.py receiver.receive [FUNCTION...]

POST /FUNCTION calls FUNCTION(headers jsonb, body bytea) RETURNS integer, the status,
or RETURNS text: '204', or '200 ' and the body, in one line. Names of headers are in
lower case. The database is the one of psql (PGHOST, PGDATABASE ...).

A few psql stay open and share the requests: starting one for each request would
cost more than the receiving, and run into the sender's timeout when many arrive.
"""

import json
import os
import queue
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FUNCTIONS = sys.argv[1:]
MAX_BODY = 1024 * 1024
SESSIONS = 4


class Session:
    """One psql. It ends at the first error, and is then started anew for the next request."""

    def __init__(self):
        self.psql = None

    def ask(self, command):
        """The one line that the command prints; empty when it failed."""
        if self.psql is None or self.psql.poll() is not None:
            self.psql = self.start()
        try:
            self.psql.stdin.write(command + b";\n")
            self.psql.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, as the next line tells
        line = self.psql.stdout.readline()
        if not line:
            self.psql.wait()
        return line

    def start(self):
        options = os.environ.get("PGOPTIONS", "") + " -c statement_timeout=60s"
        return subprocess.Popen(
            ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PGOPTIONS": options},
        )


sessions = queue.LifoQueue()
for _ in range(SESSIONS):
    sessions.put(Session())


def call(function, headers, body):
    """The status, and the body of the answer. What a request says enters the command in
    hexadecimal: nothing in it is SQL."""
    headers = json.dumps({name.lower(): value for name, value in headers.items()}).encode()
    command = f"SELECT {function}(convert_from('\\x{headers.hex()}', 'UTF8')::jsonb, '\\x{body.hex()}'::bytea)"
    session = sessions.get()
    try:
        status, _, answer = session.ask(command.encode()).strip().partition(b" ")
        return int(status or 500), answer
    finally:
        sessions.put(session)


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    timeout = 300

    def do_POST(self):
        status, answer = self.receive()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if status != 204:
            self.wfile.write(answer)

    def receive(self):
        length = self.headers.get("content-length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > MAX_BODY:
            self.close_connection = True
            return 413, b""
        body = self.rfile.read(int(length))
        function = self.path[1:]
        return call(function, self.headers, body) if function in FUNCTIONS else (404, b"")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # with the default of 5 some of many connections at once wait for a second


if __name__ == "__main__":
    if not FUNCTIONS or not all(re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", name) for name in FUNCTIONS):
        sys.exit(__doc__)
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Front)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
