"""The verdict of the official SDK for Python on answers of Chat Completions; `verdicts.mjs` tells more."""

import json
import sys

import openai

BASE, *NAMES = sys.argv[1:]
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def text(value):
    value = value if isinstance(value, str) else json.dumps(value)
    return "".join("\ufffd" if 0xD800 <= ord(it) <= 0xDFFF else it for it in value)


def said(content, calls, finish):
    return {
        "text": text(content),
        "calls": [[text(call["name"]), text(call["arguments"])] for call in calls],
        "finish": finish,
    }


def raw(client):
    content, finish, calls = "", None, {}
    for chunk in client.chat.completions.create(**REQUEST, stream=True):
        for choice in chunk.choices or []:
            if choice.index != 0:
                continue
            if choice.delta and choice.delta.content:
                content += choice.delta.content
            for piece in (choice.delta and choice.delta.tool_calls) or []:
                call = calls.setdefault(piece.index, {"name": "", "arguments": ""})
                called = piece.function
                if called and called.name:
                    call["name"] = called.name
                if called and called.arguments:
                    call["arguments"] += called.arguments
            finish = choice.finish_reason or finish
    return said(content, [calls[index] for index in sorted(calls)], finish)


def helper(client):
    with client.chat.completions.stream(**REQUEST) as stream:
        whole = stream.get_final_completion()
    choice = whole.choices[0]
    calls = [
        {"name": call.function.name, "arguments": call.function.arguments}
        for call in choice.message.tool_calls or []
    ]
    return said(choice.message.content or "", calls, choice.finish_reason)


def verdict(read, name):
    client = openai.OpenAI(base_url=f"{BASE}/{name}", api_key="none", max_retries=0)
    try:
        return read(client)
    except Exception as error:  # whatever it is, it is the SDK's verdict
        return {"error": f"{type(error).__name__}: {error}".encode("ascii", "replace").decode()}


print(json.dumps({name: {"raw": verdict(raw, name), "helper": verdict(helper, name)} for name in NAMES}))
