"""The verdict of the official SDK for Python on whole completions; `verdicts_whole.mjs` tells more."""

import json
import sys

import openai

BASE, *NAMES = sys.argv[1:]
CLIENT = openai.OpenAI(base_url=BASE, api_key="none", max_retries=0)


def text(value):
    value = value if isinstance(value, str) else json.dumps(value)
    return "".join("\ufffd" if 0xD800 <= ord(it) <= 0xDFFF else it for it in value)


def raw(name):
    client = CLIENT.with_options(base_url=f"{BASE}/{name}")
    whole = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    choice = whole.choices[0]
    calls = [[text(it.function.name), text(it.function.arguments)] for it in choice.message.tool_calls or []]
    return {"text": text(choice.message.content or ""), "calls": calls, "finish": choice.finish_reason}


def verdict(name):
    try:
        return raw(name)
    except Exception as error:  # whatever it is, it is the SDK's verdict
        return {"error": type(error).__name__}


print(json.dumps({name: {"raw": verdict(name)} for name in NAMES}))
