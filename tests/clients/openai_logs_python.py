"""What the official SDK for Python makes of each kind of item: live, resumed after every number, and retrieved."""

import base64
import functools
import json

from openai import OpenAI
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState

from bench import BASE, ended, fresh, let_pass, play

PICTURE = base64.b64encode(b"\x89PNG").decode()
TOOLS = [{"type": "function", "name": "map", "parameters": {"type": "object"}, "strict": False}]


def state(of, signature):
    return {"type": "provider_state", "provider": "vendor", "of": of, "data": {"signature": signature}}


EVENTS = [
    {"type": "thinking", "content": "Hm. "},
    {"type": "thinking", "content": "Look."},
    state("turn", "a"),
    {"type": "text", "content": "Cats sleep"},
    {"type": "source", "id": "s1", "url": "https://example.com/cats", "title": "Cats", "at": {"start": 0, "end": 4}},
    {"type": "source", "id": "d1", "title": "A book"},
    {"type": "text", "content": ", über-quiet 🐈."},
    {
        "type": "tool_calls",
        "calls": [
            {"id": "call-1", "name": "search", "arguments": {"q": "cats"}},
            {"id": "call-2", "name": "search", "arguments": {}},
        ],
    },
    state("call-1", "b"),
    {
        "type": "turn",
        "finishReason": "tool_calls",
        "model": "m-1",
        "usage": {"inputTokens": 5, "outputTokens": 2, "cachedInputTokens": 1, "reasoningTokens": 1},
    },
    {"type": "tool_result", "id": "call-1", "name": "search", "content": "Two."},
    {"type": "tool_error", "id": "call-2", "name": "search", "message": "search what?"},
    {"type": "media", "mediaType": "image/png", "url": f"data:image/png;base64,{PICTURE}"},
    {"type": "text", "content": "Where?"},
    {"type": "tool_input", "id": "cut", "name": "map", "delta": '{"zoo'},
    {"type": "tool_input", "id": "call-3", "name": "map", "delta": '{"zo'},
    {"type": "tool_input", "id": "call-3", "delta": 'om": 3}'},
    {"type": "tool_calls", "calls": [{"id": "call-3", "name": "map", "arguments": {"zoom": 3}}]},
    {"type": "turn", "finishReason": "tool_calls", "model": "m-2", "usage": {"inputTokens": 9, "outputTokens": 3}},
    {"type": "complete", "finishReason": "tool_calls"},
]


@functools.cache
def client():
    return OpenAI(base_url=f"{BASE}/v1", api_key="none", max_retries=0)


def create(**extra):
    body = {"events": EVENTS, **extra}
    return client().responses.create(model="scripted", input="Tell me.", tools=TOOLS, stream=True, extra_body=body)


def resume(response, number):
    if number < 0:
        return client().responses.retrieve(response, stream=True)
    return client().responses.retrieve(response, stream=True, starting_after=number)


def whole(output):
    """The items without calls that came to nothing: no response has those."""
    items = [item.to_dict() for item in output]
    return [item for item in items if not (item["type"] == "function_call" and item["status"] == "incomplete")]


def folded(events):
    """The output that the SDK puts together. What the last event repeats of it is left out."""
    state = ResponseStreamState(input_tools=omit, text_format=omit)
    last = events[-1].model_copy(deep=True)
    last.response.output = None
    for event in [*events[:-1], last]:
        state.handle_event(event.model_copy(deep=True))
    output = whole(state._completed_response.output)
    for item in output:
        item.pop("parsed_arguments", None)
        for part in item.get("content") or []:
            part.pop("parsed", None)
    return output


def live_resumed_and_retrieved_they_are_one_response():
    gate = fresh("gate")
    live = []
    stream = create(gate={"name": gate, "at": len(EVENTS) - 1})
    while not live or live[-1].type != "response.function_call_arguments.done":
        live.append(next(stream))
    answer, had = live[0].response.id, len(live)
    assert had > 20
    resumed = [resume(answer, number) for number in range(-1, had)]
    let_pass(gate)
    live.extend(stream)
    assert [event.sequence_number for event in live] == list(range(len(live)))
    assert live[-1].type == "response.completed"
    for number, rest in enumerate(resumed, -1):
        assert list(rest) == live[number + 1 :], f"after {number}, live"
    ended(answer)
    stored = client().responses.retrieve(answer)
    assert stored == live[-1].response
    output = whole(stored.output)
    assert folded(live) == output
    for number in range(len(live)):
        rest = list(resume(answer, number))
        assert rest == live[number + 1 :], f"after {number}"
        assert folded([*live[: number + 1], *rest]) == output, f"after {number}"
    # The helper of the SDK, as it resumes.
    with client().responses.stream(response_id=answer, starting_after=len(live) // 2) as again:
        assert again.get_final_response().output_text == stored.output_text


def each_kind_of_item_is_as_it_was_made_and_is_sent_back():
    live = list(create())
    stored = client().responses.retrieve(live[0].response.id)
    kinds = [item.type for item in stored.output]
    assert kinds == [
        "reasoning", "message", "reasoning", "mcp_call", "mcp_call", "image_generation_call", "message",
        "function_call",
    ], kinds  # fmt: skip
    reasoning, text, of_call, found, failed, picture, _, call = stored.output
    assert reasoning.content[0].text == "Hm. Look."
    for item, signature in ((reasoning, "a"), (of_call, "b")):
        sealed = item.encrypted_content.partition(".")[2]
        opened = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)).decode()
        assert f'"signature":"{signature}"' in opened, opened
    assert text.content[0].text == "Cats sleep, über-quiet 🐈."
    link, book = text.content[0].annotations
    assert (link.type, link.url, link.title, link.start_index, link.end_index) == (
        "url_citation", "https://example.com/cats", "Cats", 0, 4,
    )  # fmt: skip
    assert (book.type, book.file_id, book.filename) == ("file_citation", "d1", "A book")
    added = [event.annotation for event in live if event.type == "response.output_text.annotation.added"]
    dumped = [annotation if isinstance(annotation, dict) else annotation.to_dict() for annotation in added]
    assert dumped == [link.to_dict(), book.to_dict()]
    assert (json.loads(found.arguments), found.output, failed.error) == ({"q": "cats"}, "Two.", "search what?")
    assert picture.result == PICTURE
    deltas = [event.delta for event in live if event.type == "response.function_call_arguments.delta"]
    assert deltas == ['{"zoo', '{"zo', 'om": 3}']
    assert (call.call_id, call.arguments) == ("call-3", '{"zoom": 3}')
    usage = stored.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (14, 5, 19)
    assert usage.input_tokens_details.cached_tokens == 1
    assert usage.output_tokens_details.reasoning_tokens == 1
    assert stored.model == "m-2"
    gave = {"type": "function_call_output", "call_id": "call-3", "output": "a map"}
    conversation = [{"role": "user", "content": "Where?"}, *stored.output, gave]
    second = client().responses.create(model="scripted", input=conversation, tools=TOOLS)
    assert second.output_text.startswith("The tool gave a map"), second.output_text


def an_answer_that_ended_for_a_reason_that_the_api_lacks_is_incomplete():
    for reason in ("unknown", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL", "pause_turn"):
        events = [{"type": "text", "content": "Cats"}, {"type": "complete", "finishReason": reason}]
        body = {"model": "scripted", "input": "Tell me.", "extra_body": {"events": events}}
        # The SDK's `get_final_response` raises for every response that isn't completed.
        with client().responses.stream(**body) as stream:
            live = list(stream)[-1].response
        for response in (live, client().responses.create(**body), client().responses.retrieve(live.id)):
            told = (response.status, response.incomplete_details.reason, response.output_text)
            assert told == ("incomplete", reason, "Cats"), told


SCENARIOS = [
    live_resumed_and_retrieved_they_are_one_response,
    each_kind_of_item_is_as_it_was_made_and_is_sent_back,
    an_answer_that_ended_for_a_reason_that_the_api_lacks_is_incomplete,
]

play({scenario.__name__.replace("_", " "): scenario for scenario in SCENARIOS})
