"""The helpers of the scripts in Python, like `bench.mjs` for those in Node."""

import json
import os
import socket
import sys
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import uuid

BASE = os.environ.get("BASE_URL", "")


def play(scenarios):
    """Runs scenarios concurrently, or lists them with `--list`. Writes a line for each."""
    wanted = sys.argv[1:]
    if wanted == ["--list"]:
        print("\n".join(scenarios))
        return
    say = threading.Lock()

    def run(name, scenario):
        error = None
        try:
            scenario()
        except BaseException:
            error = traceback.format_exc()
        with say:
            print(json.dumps({"scenario": name, "error": error}), flush=True)

    chosen = {name: it for name, it in scenarios.items() if not wanted or any(part in name for part in wanted)}
    lanes = [threading.Thread(target=run, args=it, daemon=True) for it in chosen.items()]
    for lane in lanes:
        lane.start()
    deadline = time.monotonic() + 240
    for lane in lanes:
        lane.join(max(0, deadline - time.monotonic()))
    sys.stdout.flush()
    os._exit(0)  # whatever a client keeps open


def until(holds, what="it"):
    """Waits until `holds()` returns a truthy value."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.002)
    raise AssertionError(f"never: {what}")


def fresh(what):
    """A unique name."""
    return f"{what}-{uuid.uuid4()}"


def ask(path, body=None, accept="application/json", method=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"accept": accept, "content-type": "application/json"}
    request = urllib.request.Request(BASE + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read().decode()


def let_pass(gate):
    """Resumes an answer that waits at this gate."""
    ask(f"/gate/{gate}", method="POST")


def ended(session):
    """The events of a session on the server, once it has ended."""

    def over():
        page = json.loads(ask(f"/native/{session}?limit=10000"))
        return page if page["status"] not in ("streaming", "waiting") else None

    events = [line["event"] for line in until(over, f"{session} ends")["events"]]

    def said(kind):
        return "".join(event["content"] for event in events if event["type"] == kind)

    return {"events": events, "text": said("text"), "thinking": said("thinking"), "last": events[-1]}


def calls(tally):
    """The number of calls of the provider by scripts with this `tally`."""
    body = {"messages": [{"role": "user", "content": "How often?"}], "script": {"tell": tally}}
    lines = ask("/native", body, accept="application/x-ndjson").splitlines()
    events = [json.loads(line)["event"] for line in lines if line]
    told = next(event for event in events if event["type"] == "text")
    return json.loads(told["content"])["calls"]


class Cutting:
    """A proxy before the server. Its first connections are cut once `after` events have come through,
    or as soon as the server answers if they are to be `unheard`."""

    def __init__(self, after=None, cuts=1, unheard=False):
        self.after, self.cuts, self.unheard, self.cut = after, cuts, unheard, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        target = urllib.parse.urlparse(BASE)
        upstream = socket.create_connection((target.hostname, target.port))
        threading.Thread(target=self._carry, args=(client, upstream), daemon=True).start()
        events, last = 0, b""
        while True:
            try:
                data = upstream.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            if self.cut < self.cuts and self.unheard:
                self.cut += 1
                break
            end = self._end(data, events, last) if self.after and self.cut < self.cuts else None
            if end is not None:
                self.cut += 1
                client.sendall(data[:end])
                break
            events += (last + data).count(b"\n\n")
            last = data[-1:] if not data.endswith(b"\n\n") else b""
            try:
                client.sendall(data)
            except OSError:
                break
        for end in (client, upstream):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def _end(self, data, events, last):
        """The end of the last event to forward, if it is in the data."""
        joined, at = last + data, 0
        while (found := joined.find(b"\n\n", at)) >= 0:
            events, at = events + 1, found + 2
            if events == self.after:
                return at - len(last)
        return None

    @staticmethod
    def _carry(client, upstream):
        try:
            while data := client.recv(65536):
                upstream.sendall(data)
        except OSError:
            pass
