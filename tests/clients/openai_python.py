"""The official SDK for Python against the dialect of OpenAI's Responses API."""

import functools
import re
import threading
import time

import openai
from openai import OpenAI

from bench import BASE, Cutting, calls, ended, fresh, let_pass, play, until

TEXT = 'A cat sat on the warm mat, and "thought" of\nnothing at all: über-quiet, 🐈 and so on.'
THINKING = "Let me think."
HELD = "A cat sat on the "


def script(**more):
    return {"script": {"text": TEXT, "thinking": THINKING, "delayMs": 0, **more}}


def held(gate, **more):
    """An answer that pauses in the middle until its gate opens."""
    return {**script(**more), "gate": {"name": gate, "at": 8}}


@functools.cache
def client(at=BASE, max_retries=0):
    return OpenAI(base_url=f"{at}/v1", api_key="none", max_retries=max_retries)


def create(extra, at=BASE, **more):
    return client(at).responses.create(model="scripted", input="Tell me.", extra_body=extra, **more)


def retrieve(response, **more):
    return client().responses.retrieve(response, stream=True, **more)


class Reading:
    """The events of a stream, read until it ends or breaks."""

    def __init__(self):
        self.events, self.failure = [], None

    def read(self, open_stream):
        self.failure = None
        try:
            for event in open_stream():
                self.events.append(event)
        except (openai.APIError, openai.APIConnectionError) as failure:
            self.failure = failure
        return self

    def beside(self, open_stream):
        """Reads the stream on a thread of its own."""
        thread = threading.Thread(target=self.read, args=(open_stream,), daemon=True)
        thread.start()
        return thread

    @property
    def id(self):
        return next(event.response.id for event in self.events if event.type == "response.created")

    def said(self, kind):
        return "".join(event.delta for event in list(self.events) if event.type == kind)

    @property
    def text(self):
        return self.said("response.output_text.delta")

    def same_as_the_server(self):
        log = ended(self.id)
        assert self.text == log["text"]
        assert self.said("response.reasoning_text.delta") == log["thinking"]
        assert [event.sequence_number for event in self.events] == list(range(len(self.events)))
        return log


def read(open_stream):
    return Reading().read(open_stream)


def refused(asked, kind, code, message):
    try:
        asked()
    except kind as error:
        assert error.code == code, error
        assert re.search(message, error.message), error
        return
    raise AssertionError("it was not refused")


def a_whole_answer_streamed():
    reading = read(lambda: create(script(), stream=True))
    assert reading.failure is None
    assert reading.same_as_the_server()["text"] == TEXT
    assert reading.events[-1].type == "response.completed"
    answer = client().responses.retrieve(reading.id)
    assert answer.output_text == TEXT
    assert answer == reading.events[-1].response


def a_whole_answer_waited_for():
    answer = create(script())
    assert (answer.status, answer.output_text) == ("completed", TEXT)
    assert abs(answer.created_at - time.time()) < 600
    assert [item.type for item in answer.output] == ["reasoning", "message"]


def a_whole_answer_in_the_background():
    gate = fresh("gate")
    begun = create(held(gate), background=True)
    assert begun.status == "in_progress"
    let_pass(gate)
    ended(begun.id)
    answer = client().responses.retrieve(begun.id)
    assert (answer.status, answer.output_text) == ("completed", TEXT)


def a_helper_that_puts_the_stream_together_accepts_it():
    calls_for = [{"id": "call_1", "name": "map", "arguments": {"zoom": 3}}]
    with client().responses.stream(model="scripted", input="Hi", extra_body=script(toolCalls=calls_for)) as stream:
        answer = stream.get_final_response()
    assert answer.output_text == TEXT
    assert answer.output[-1].call_id == "call_1"


def a_connection_that_is_cut_after_any_event_is_resumed_after_its_number():
    whole = read(lambda: create(script(), stream=True))
    for after in range(1, len(whole.events) + 1):
        proxy, tally = Cutting(after), fresh("tally")
        reading = read(lambda: create(script(tally=tally), at=proxy.url, stream=True))
        assert proxy.cut == 1
        assert len(reading.events) == after
        assert reading.failure or after == len(whole.events), "a cut is no end"
        last = reading.events[-1].sequence_number
        reading.read(lambda: retrieve(reading.id, starting_after=last))
        assert reading.failure is None
        assert [event.type for event in reading.events] == [event.type for event in whole.events]
        reading.same_as_the_server()
        assert calls(tally) == 1


def a_fresh_client_in_mid_answer_and_both_hear_the_rest():
    gate, tally = fresh("gate"), fresh("tally")
    first, second = Reading(), Reading()
    done = first.beside(lambda: create(held(gate, tally=tally), stream=True))
    until(lambda: first.text == HELD, "some text")
    so_far = client().responses.retrieve(first.id)
    assert (so_far.status, so_far.output_text) == ("in_progress", HELD)
    joined = second.beside(lambda: retrieve(first.id))
    until(lambda: second.text == HELD, "the same text")
    let_pass(gate)
    done.join(20)
    joined.join(20)
    first.same_as_the_server()
    assert second.events == first.events
    assert calls(tally) == 1


def a_cancel_by_a_second_client_is_seen_by_the_first():
    first = Reading()
    done = first.beside(lambda: create(held(fresh("gate")), stream=True, background=True))
    until(lambda: first.text == HELD, "some text")
    cancelled = client().responses.cancel(first.id)
    assert (cancelled.status, cancelled.output_text) == ("cancelled", HELD)
    done.join(20)
    assert first.same_as_the_server()["last"]["type"] == "aborted"
    last = first.events[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "cancelled")


def a_resume_after_the_end():
    whole = read(lambda: create(script(), stream=True))
    assert read(lambda: retrieve(whole.id)).events == whole.events
    rest = read(lambda: retrieve(whole.id, starting_after=len(whole.events) - 3))
    assert rest.events == whole.events[-2:]


def a_provider_that_fails():
    fault = {"at": 7, "kind": "error"}
    reading = read(lambda: create(script(fault=fault), stream=True))
    log = reading.same_as_the_server()
    last = reading.events[-1]
    assert (last.type, last.response.error.message) == ("response.failed", log["last"]["message"])


def a_response_that_nobody_knows():
    unknown = "resp_0123456789abcdefghjkmnpqrs"
    responses = client().responses
    for asked in (responses.retrieve, responses.cancel, responses.delete, retrieve):
        refused(lambda: asked(unknown), openai.NotFoundError, "not_found", "no session")


def what_is_refused_says_why():
    unprocessable = openai.UnprocessableEntityError
    another = lambda: client().responses.create(model="another", input="Hi")
    refused(another, unprocessable, "not_open", "`model` is not open")
    follow_up = lambda: create({}, previous_response_id="resp_1")
    refused(follow_up, unprocessable, "wrong_shape", "whole conversation")


def a_request_that_the_sdk_repeats_attaches_by_its_key_and_is_not_paid_for_twice():
    proxy, tally = Cutting(cuts=2, unheard=True), fresh("tally")
    answer = client(proxy.url, max_retries=5).responses.create(
        model="scripted",
        input="Tell me.",
        extra_body=script(tally=tally),
        extra_headers={"Idempotency-Key": fresh("key")},
    )
    assert proxy.cut == 2
    assert answer.output_text == TEXT
    assert calls(tally) == 1


def a_tool_of_the_client_there_and_back():
    asks = script(toolCalls=[{"id": "call_1", "name": "map", "arguments": {"zoom": 3}}])
    tools = [{"type": "function", "name": "map", "parameters": {"type": "object"}, "strict": False}]
    first = create(asks, tools=tools)
    call = next(item for item in first.output if item.type == "function_call")
    assert (call.call_id, call.name, call.arguments) == ("call_1", "map", '{"zoom":3}')
    gave = {"type": "function_call_output", "call_id": "call_1", "output": "a map"}
    conversation = [{"role": "user", "content": "Where?"}, *first.output, gave]
    second = client().responses.create(model="scripted", input=conversation, tools=tools, extra_body=asks)
    assert second.output_text.startswith("The tool gave a map"), second.output_text


SCENARIOS = [
    a_whole_answer_streamed,
    a_whole_answer_waited_for,
    a_whole_answer_in_the_background,
    a_helper_that_puts_the_stream_together_accepts_it,
    a_connection_that_is_cut_after_any_event_is_resumed_after_its_number,
    a_fresh_client_in_mid_answer_and_both_hear_the_rest,
    a_cancel_by_a_second_client_is_seen_by_the_first,
    a_resume_after_the_end,
    a_provider_that_fails,
    a_response_that_nobody_knows,
    what_is_refused_says_why,
    a_request_that_the_sdk_repeats_attaches_by_its_key_and_is_not_paid_for_twice,
    a_tool_of_the_client_there_and_back,
]

play({scenario.__name__.replace("_", " "): scenario for scenario in SCENARIOS})
