"""The verdict of Ollama's package for Python on answers of its own protocol; `verdicts.mjs` tells more."""

import json
import sys

import ollama

BASE, *NAMES = sys.argv[1:]
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def raw(name):
    said = {"text": "", "calls": [], "finish": None}
    for line in ollama.Client(host=f"{BASE}/{name}").chat(**REQUEST, stream=True):
        said["text"] += line.message.content or ""
        for call in line.message.tool_calls or []:
            said["calls"].append([call.function.name, json.dumps(call.function.arguments)])
        if line.done:
            said["finish"] = line.done_reason
    said["text"] = "".join("\ufffd" if 0xD800 <= ord(it) <= 0xDFFF else it for it in said["text"])
    return said


def verdict(name):
    try:
        return raw(name)
    except Exception as error:  # whatever it is, it is the package's verdict
        return {"error": type(error).__name__}


print(json.dumps({name: {"raw": verdict(name)} for name in NAMES}))
