"""Renders chat templates with transformers itself, as the reference for Halfbyte.

Usage: reference.py FOLDER_OF_TEMPLATES OUTPUT_JSON

The output is an array of cases: the template's file, what is rendered, and either the text (`rendered`)
or why there is none (`error`, and in `refused` whether the template itself raised it).
"""

import json
import sys
from pathlib import Path

import jinja2
import jinja2.meta
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

SPECIAL = {"bos_token": "<|bos|>", "eos_token": "<|eos|>"}
SYSTEM = {"role": "system", "content": "Answer in one sentence."}
USER = {"role": "user", "content": "Wie heißt die Hauptstadt von Österreich? \"Wien\", <b>oder</b> 'Graz' & 1 > 0?"}
CONVERSATIONS = {
    "user": [USER],
    "system, user": [SYSTEM, USER],
    "three turns": [
        {"role": "user", "content": "  Name three rivers.\n"},
        {"role": "assistant", "content": "Danube, Inn, Mur."},
        {"role": "user", "content": "你好 😀\n\nWhich is the longest?"},
        {"role": "assistant", "content": "<think>\nThe Danube has 2850 km.\n</think>\n\nThe Danube."},
        {"role": "user", "content": "Thanks."},
    ],
    "system, three turns": [
        SYSTEM,
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And {{ 7 }} % {% 3 %}?"},
    ],
    "answered": [USER, {"role": "assistant", "content": "Wien."}],
    "thoughts": [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2", "reasoning_content": "Count: 1, 2."},
        {"role": "user", "content": "And 2 + 2?"},
        {"role": "assistant", "content": "4", "reasoning_content": "\nTwice 2 <is> 4.\n"},
    ],
}
TOOL_CALLED = [
    SYSTEM,
    {"role": "user", "content": "How warm is it in Graz?"},
    {
        "role": "assistant",
        "content": "I will look.",
        "tool_calls": [
            {
                "type": "function",
                "id": "abcdef123",
                "function": {"name": "get_weather", "arguments": {"city": "Graz – \"Süd\"", "days": 2}},
            }
        ],
    },
    {"role": "tool", "name": "get_weather", "tool_call_id": "abcdef123", "content": '{"max": 12.5, "unit": "°C"}'},
]
TOOL_CONVERSATIONS = CONVERSATIONS | {
    "tool called": TOOL_CALLED,
    "tool called, answered": [
        *TOOL_CALLED,
        {"role": "assistant", "content": "It is 12.5 °C."},
        {"role": "user", "content": "Thanks."},
    ],
}


def tool(name, description, required, **properties):
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


CITY = {"type": "string", "description": "The city's name"}
DAYS = {"type": "integer", "description": "Days from now", "minimum": 1, "default": 3}
# Some templates need a description of every parameter, others leave out what is not there.
TOOLS = {
    "": None,
    "tools": [
        tool("get_weather", "Tells the weather <now> & later, in °C.", ["city"], city=CITY, days=DAYS),
        tool("clock", "Tells the time.", []),
    ],
    "tools without descriptions": [
        tool(
            "get_weather",
            "Tells the weather.",
            ["city", "unit"],
            city={"type": "string"},
            unit={"type": "string", "enum": ["celsius", "fahrenheit"]},
            limits={"type": "array", "items": {"type": "number"}, "default": [0.5, 1e-3]},
        ),
    ],
    "tiny number": [
        tool("set_step", "Sets a step.", [], step={"type": "number", "description": "Step", "default": 1e-5}),
    ],
}


def variables(source):
    """The variables that the template reads and does not set."""
    return jinja2.meta.find_undeclared_variables(_compile_jinja_template(source).environment.parse(source))


def cases(source):
    """What the template is asked to render: each conversation, in every variant that it takes."""
    names = variables(source)
    switch = next((name for name in ("enable_thinking", "thinking") if name in names), None)
    takes_tools = "tools" in names
    for conversation, messages in (TOOL_CONVERSATIONS if takes_tools else CONVERSATIONS).items():
        for tool_names, tools in TOOLS.items() if takes_tools else [("", None)]:
            for thinking in [None, True, False] if switch else [None]:
                for add_generation_prompt in (True, False):
                    words = [conversation]
                    words += [tool_names] if tools else []
                    words += [] if thinking is None else [f"{switch}={thinking}"]
                    words += [] if add_generation_prompt else ["no generation prompt"]
                    yield {
                        "name": " + ".join(words),
                        "messages": messages,
                        "tools": tools,
                        "thinking": thinking,
                        "switch": switch,
                        "add_generation_prompt": add_generation_prompt,
                    }


def rendering(source, case):
    """The text, or why there is none."""
    switches = {} if case["thinking"] is None else {case["switch"]: case["thinking"]}
    try:
        texts, _ = render_jinja_template(
            [case["messages"]],
            tools=case["tools"],
            chat_template=source,
            add_generation_prompt=case["add_generation_prompt"],
            **SPECIAL,
            **switches,
        )
        return {"rendered": texts[0]}
    except Exception as error:  # whatever stops transformers is of interest
        refused = type(error) is jinja2.TemplateError
        return {"error": f"{type(error).__name__}: {error}", "refused": refused}


def main(folder, output):
    all_cases = []
    for path in sorted(Path(folder).glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        try:
            listed = list(cases(source))
        except Exception as error:
            listed = [{"name": "compile", "messages": [], "add_generation_prompt": True}]
            all_cases.append(listed[0] | {"template": path.name, "error": str(error), "refused": False})
            continue
        all_cases += [case | {"template": path.name} | rendering(source, case) for case in listed]
    Path(output).write_text(json.dumps(all_cases, ensure_ascii=False), encoding="utf-8")


main(*sys.argv[1:])
