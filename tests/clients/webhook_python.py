"""The library of Standard Webhooks for Python, in a receiver of the outbox's webhook."""

import base64
import http.server
import json
import os
import threading
import urllib.request

from standardwebhooks import Webhook, WebhookVerificationError

from bench import BASE, play, until

TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.'


def secret_of(size):
    return f"whsec_{base64.b64encode(os.urandom(size)).decode()}"


class Receiver:
    """A receiver that answers with these statuses, then 200."""

    def __init__(self, *statuses):
        self.got, left = [], list(statuses)
        got = self.got

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                got.append((dict(self.headers), body))
                self.send_response(left.pop(0) if left else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}/hook"

    def deliveries(self, count=1):
        until(lambda: len(self.got) >= count, f"{count} deliveries")
        return self.got[:count]


def answered(receiver, *secrets):
    """Runs an answer to its end. Returns the id of its session."""
    body = {
        "messages": [{"role": "user", "content": "Hi"}],
        "script": {"text": TEXT, "delayMs": 0},
        "receiver": receiver.url,
        "secrets": secrets,
    }
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{BASE}/webhook", data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        response.read()
        return response.headers["x-session-id"]


def assert_refused(secret, headers, body):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return
    raise AssertionError("it was verified")


def a_delivery_is_verified():
    for size in (24, 32, 64):
        receiver, secret = Receiver(), secret_of(size)
        session = answered(receiver, secret)
        [(headers, body)] = receiver.deliveries()
        ending = Webhook(secret).verify(body, headers)
        assert ending["type"] == "session.ended", ending
        data = ending["data"]
        assert (data["id"], data["outcome"]) == (session, "complete"), data
        assert data["messages"] == [{"role": "assistant", "content": TEXT}], data
        assert data["usage"]["outputTokens"] > 0, data


def a_change_is_found():
    receiver, secret = Receiver(), secret_of(32)
    answered(receiver, secret)
    [(headers, body)] = receiver.deliveries()
    Webhook(secret).verify(body, headers)
    changed = body.replace(b'"delivery":1', b'"delivery":2')
    assert changed != body
    assert_refused(secret, headers, changed)
    assert_refused(secret, headers, body + b" ")
    by_name = {name.lower(): value for name, value in headers.items()}
    assert_refused(secret, {**by_name, "webhook-id": by_name["webhook-id"] + "0"}, body)
    later = str(int(by_name["webhook-timestamp"]) + 1)
    assert_refused(secret, {**by_name, "webhook-timestamp": later}, body)
    assert_refused(secret_of(32), headers, body)


def either_secret_verifies():
    receiver, current, former = Receiver(), secret_of(32), secret_of(32)
    answered(receiver, current, former)
    [(headers, body)] = receiver.deliveries()
    for secret in (current, former):
        Webhook(secret).verify(body, headers)
    assert_refused(secret_of(32), headers, body)


def it_comes_again_after_a_failure():
    receiver, secret = Receiver(503), secret_of(32)
    answered(receiver, secret)
    deliveries = receiver.deliveries(2)
    first, second = (Webhook(secret).verify(body, headers)["data"] for headers, body in deliveries)
    assert (first["delivery"], second["delivery"]) == (1, 2)
    assert {**second, "delivery": 1} == first


play(
    {
        "a delivery is verified, and tells what happened": a_delivery_is_verified,
        "a change of the body, the id, the timestamp or the secret is found": a_change_is_found,
        "while a secret changes, receivers with either verify": either_secret_verifies,
        "an ending that comes again is verified again": it_comes_again_after_a_failure,
    }
)
