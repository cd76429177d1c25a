"""A tiny engine for tests: computes nothing, and does wrong what its argument says, when the question named is asked.

engine.py [QUESTION MISDEED]: `engine.py run garbage` answers the question `run` with a line that is no JSON.
"""

import json
import math
import os
import struct
import sys
import time

QUESTION, MISDEED = sys.argv[1:3] if len(sys.argv) > 2 else ("", "")
answers = os.fdopen(int(os.environ["DITBENCH_ANSWERS_FD"]), "w")
sessions = {}


def write(path, ports, wrong):
    header, blob = {}, b""
    for port in ports:
        shape = [n + 1 for n in port["shape"]] if wrong == "shape" else port["shape"]
        size = 8 if wrong == "dtype" else 4
        data = b"\0" * size * math.prod(shape)
        name = "other" if wrong == "name" else port["name"]
        header[name] = {
            "dtype": "I64" if wrong == "dtype" else "F32",
            "shape": shape,
            "data_offsets": [len(blob), len(blob) + len(data)],
        }
        blob += data
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + (blob[:-1] if wrong == "cut" else blob))


def answer(ask):
    what, wrong = ask["ask"], MISDEED if ask["ask"] == QUESTION else ""
    if wrong == "refuse":
        return {"error": {"kind": "unsupported", "why": "no such thing here"}}
    if wrong == "lack":
        return {"error": {"kind": "unavailable", "why": "the driver is not there", "cure": "Load it"}}
    if what == "describe":
        way = {"name": "plain", "about": "nothing", "precisions": ["f32", "q4"], "operators": "standard", "files": True}
        return {
            **({} if wrong == "silent" else {"protocol": 99 if wrong == "newer" else 1}),
            "version": "1.0",
            "devices": [{"name": "cpu"}, {"name": "npu", "missing": {"why": "none is built in", "cure": "Buy one"}}],
            "ways": [way, way] if wrong == "twice" else [way],
            "something new": {"that": "is passed over"},
        }
    if what == "compile":
        sessions[ask["session"]] = ask
        numerics = {"numerics": "f31", "halves": "f16"}.get(wrong, "f32")
        return {"seconds": 99 if wrong == "clock" else 1e-6, "numerics": numerics}
    if what == "run":
        if wrong != "nothing":
            write(ask["outputs"], sessions[ask["session"]]["outputs"], wrong)
        return {"seconds": {"clock": 99, "negative": -1}.get(wrong, 1e-6)}
    if what == "placement":
        return {"entries": [{"device": "cpu", "nodes": 3, "time_share": None}], "source": "it says so"}
    if what == "memory":
        return {"in_use": 5, "peak": 7, "reserved": None}
    return {}


print("this is noise, {\"id\": 1", end="", flush=True)
for line in iter(sys.stdin.readline, ""):
    ask = json.loads(line)
    if ask["ask"] == QUESTION:
        if MISDEED == "garbage":
            answers.write("{ this is no JSON\n")
            answers.flush()
            continue
        if MISDEED == "stall":
            time.sleep(3600)
        if MISDEED == "crash":
            print("Traceback: the roof fell in", file=sys.stderr, flush=True)
            os._exit(3)
        if MISDEED == "hang up":
            answers.close()
            time.sleep(3600)
        if MISDEED == "stale":
            ask["id"] -= 1
    answers.write(json.dumps({"id": ask["id"], **answer(ask)}) + "\n")
    answers.flush()
    if ask["ask"] == "quit":
        break
