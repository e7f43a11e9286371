"""Answers whose server dies and that another server begins anew, with the SDK for Python. `restarts.rs` has the
servers and the course of each question."""

import json

import openai
from openai import OpenAI

from bench import ask, fresh, play, until

COURSES = {
    "text": ("Old words", "The whole answer.", ["message"]),
    "early": ("Old words", "I look.The whole answer.", ["reasoning", "message", "mcp_call", "message"]),
    "late": ("Old look.Old words", "I look.The whole answer.", ["reasoning", "message", "mcp_call", "message"]),
}


class Scene:
    """Two servers over one store behind a front."""

    def __init__(self):
        self.urls = json.loads(ask("/restarts/scenes", {}))

    def kill(self):
        """Ends the first server."""
        ask(f"/restarts/scenes/{self.urls['name']}/kill", method="POST")

    def client(self, server, path):
        return OpenAI(base_url=f"{self.urls[server]}/{path}", api_key="none", max_retries=0)


class Reading:
    """The events of the SDK's own fold, read until it ends or breaks."""

    def __init__(self):
        self.text, self.last, self.id, self.failure, self.final = "", None, None, None, None

    def read(self, stream, while_held=None):
        """Reads to the end. At the text of `while_held` it calls its function once."""
        try:
            with stream as events:
                for event in events:
                    self.last = getattr(event, "sequence_number", self.last)
                    if event.type == "response.created":
                        self.id, self.text = event.response.id, ""
                    elif event.type == "response.output_text.delta":
                        self.text += event.delta
                    if while_held and self.text == while_held[0]:
                        while_held[1]()
                        while_held = None
                self.final = events.get_final_response()
        except (openai.APIError, openai.APIConnectionError, OSError) as failure:
            self.failure = failure
        except Exception as failure:  # httpx' own
            if type(failure).__module__.split(".")[0] not in ("httpx", "httpcore"):
                raise
            self.failure = failure
        return self


def text_in(response):
    return "".join(item.content[0].text for item in response.output if item.type == "message")


def check(response, course):
    _, whole, items = COURSES[course]
    assert response.status == "completed", response
    assert text_in(response) == whole, response
    assert [item.type for item in response.output] == items, response


def by_its_own_reconnect(course):
    def run():
        scene = Scene()
        held, whole, _ = COURSES[course]
        client = scene.client("front", "v1-restarts")
        first = Reading()
        stream = client.responses.stream(model="stub", input=fresh(course))
        first.read(stream, (held, scene.kill))
        assert first.failure, "the first server died"
        page = Reading().read(client.responses.stream(response_id=first.id, starting_after=first.last))
        assert page.failure is None, page.failure
        assert page.text == whole, page.text
        check(page.final, course)
        check(client.responses.retrieve(first.id), course)

    return run


def while_it_reads_from_the_other_server(course):
    def run():
        scene = Scene()
        held, whole, _ = COURSES[course]
        page = Reading()

        def read_there():
            there = scene.client("second", "v1-restarts")
            page.read(there.responses.stream(response_id=first.id), (held, scene.kill))

        first = Reading()
        stream = scene.client("front", "v1-restarts").responses.stream(model="stub", input=fresh(course))
        first.read(stream, (held, read_there))
        assert page.failure is None, page.failure
        assert page.text == whole, page.text
        check(page.final, course)

    return run


def without_the_option():
    scene = Scene()
    client = scene.client("front", "v1")
    first = Reading()
    first.read(client.responses.stream(model="stub", input=fresh("text")), ("Old words", scene.kill))
    assert first.failure, "the first server died"

    def over():
        response = client.responses.retrieve(first.id)
        return response if response.status != "in_progress" else None

    response = until(over, "it ends")
    assert response.status == "failed", response
    assert "stopped before the answer" in response.error.message, response
    assert text_in(response) == "Old words", response


SCENARIOS = {}
for name in COURSES:
    SCENARIOS[f"Python: {name}, by its own reconnect"] = by_its_own_reconnect(name)
    SCENARIOS[f"Python: {name}, while it reads from the other server"] = while_it_reads_from_the_other_server(name)
SCENARIOS["Python: without the option it is interrupted"] = without_the_option

play(SCENARIOS)
