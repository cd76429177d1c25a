#!/usr/bin/env python3
"""ONNX Runtime's Python package as an engine of ditbench. Needs: pip install onnxruntime numpy.

A row of engines.toml names it (scripts/engines/engines.toml is such a file). What it is asked and what it answers is in
docs/PROTOCOL.md, "An engine": JSON lines on standard input and on the descriptor in DITBENCH_ANSWERS_FD, tensors in
safetensors files. It is meant to be read and copied: only `Engine` knows ONNX Runtime.
"""

import json
import os
import re
import sys
import tempfile
import time

# This file is called as the package is: without its own folder on the path, the package is found.
sys.path = [folder for folder in sys.path if os.path.abspath(folder or ".") != os.path.dirname(os.path.abspath(__file__))]

PROTOCOL = 1
CPU = "CPUExecutionProvider"
# What ditbench calls a device, and what ONNX Runtime calls its provider.
PROVIDERS = {"cpu": CPU, "cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider", "qnn": "QNNExecutionProvider"}
WAYS = [
    {
        "name": "stock",
        "about": "ONNX Runtime's f32 kernels; weights of few bits are unpacked when the model is written",
        "precisions": ["f32", "f16", "palette4"],
        "operators": "onnxruntime",
        # Also an ONNX file of the user's own, as it is.
        "files": True,
    },
    {
        "name": "int8",
        "about": "MatMulNBits on packed weights; activations of those linears are rounded to 8 bits",
        "precisions": ["q4", "q8", "mixed"],
        "operators": "onnxruntime",
        "accuracy_level": 4,
    },
    {
        "name": "exact",
        "about": "MatMulNBits on packed weights; everything is computed in f32",
        "precisions": ["q4", "q8", "mixed"],
        "operators": "onnxruntime",
        "accuracy_level": 1,
    },
]


class Refused(Exception):
    """Why a question is not answered: `unsupported`, `unavailable` (with a cure) or `failed`."""

    def __init__(self, kind, why, cure=""):
        super().__init__(why)
        self.answer = {"kind": kind, "why": why, "cure": cure}


try:
    import numpy as np
    import onnxruntime as ort
except ImportError as error:
    ort, missing = None, str(error)


# ---- Tensors: a safetensors file is a length, that many bytes of JSON, and the data that it speaks of. ----


def read_tensors(path):
    types = {"F32": np.float32, "I64": np.int64}
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, about in header.items():
        begin, end = about["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], types[about["dtype"]]).reshape(about["shape"])
    return tensors


def write_tensors(path, tensors):
    types = {"float32": "F32", "int64": "I64"}
    header, blobs, offset = {}, [], 0
    for name, tensor in tensors.items():
        blob = np.ascontiguousarray(tensor).tobytes()
        if tensor.dtype.name not in types:
            raise Refused("failed", f'output "{name}" is of type {tensor.dtype}')
        header[name] = {
            "dtype": types[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


# A user's own file may take and give other types than the two that cross the boundary.
TYPES = {"f16": "float16", "f32": "float32", "f64": "float64", "bool": "bool"}
TYPES |= {f"{letter}{bits}": f"{kind}{bits}" for letter, kind in (("i", "int"), ("u", "uint")) for bits in (8, 16, 32, 64)}


def as_asked(tensors, ports):
    return {port["name"]: tensors[port["name"]].astype(TYPES[port["dtype"]], copy=False) for port in ports}


def as_carried(tensor):
    return tensor.astype(np.float32 if tensor.dtype.kind == "f" else np.int64, copy=False)


# ---- What is asked. ----


class Engine:
    def __init__(self):
        self.sessions = {}

    def describe(self, _):
        if ort is None:
            cure = f"{os.path.basename(sys.executable)} -m pip install onnxruntime numpy"
            raise Refused("unavailable", f"{sys.executable}: {missing}", f"Get it with: {cure}")
        there = ort.get_available_providers()
        devices = []
        for name, provider in PROVIDERS.items():
            device = {"name": name, "about": provider}
            if provider not in there:
                device["missing"] = {
                    "why": f"this build of the package has no {provider}",
                    "cure": "Install the package that has it: onnxruntime-gpu for CUDA, onnxruntime-qnn for QNN",
                }
            devices.append(device)
        python = ".".join(map(str, sys.version_info[:3]))
        details = [f"Python {python}, numpy {np.__version__}", ort.get_build_info().strip()]
        return {
            "protocol": PROTOCOL,
            "version": ort.__version__,
            "details": details,
            "devices": devices,
            "ways": WAYS,
        }

    def options(self, ask):
        options = ort.SessionOptions()
        options.intra_op_num_threads = ask["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if ask["memory"] == "small":
            # Weights that are not packed anew stay mapped from their file.
            options.add_session_config_entry("session.disable_prepacking", "1")
            options.enable_mem_pattern = False
        if ask["device"] != "cpu":
            # Never a silent fall-back.
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return options

    def load(self, ask, options):
        session = ort.InferenceSession(ask["model"], options, providers=[PROVIDERS[ask["device"]]])
        if PROVIDERS[ask["device"]] not in session.get_providers():
            raise Refused("unavailable", f"ONNX Runtime did not take {PROVIDERS[ask['device']]}")
        return session

    def compile(self, ask):
        options = self.options(ask)
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        begun = time.perf_counter()
        session = self.load(ask, options)
        seconds = time.perf_counter() - begun
        self.sessions[ask["session"]] = (session, ask)
        return {"seconds": seconds, "numerics": numerics(ask)}

    def run(self, ask):
        session, about = self.sessions[ask["session"]]
        feed = as_asked(read_tensors(ask["inputs"]), about["inputs"])
        names = [output["name"] for output in about["outputs"]]
        if ask["profile"]:
            results, answer = self.profiled(about, names, feed)
        else:
            begun = time.perf_counter()
            results = session.run(names, feed)
            answer = {"seconds": time.perf_counter() - begun}
        write_tensors(ask["outputs"], {name: as_carried(result) for name, result in zip(names, results)})
        return answer

    def profiled(self, about, names, feed):
        """A pass of a session of its own: in Python the profiler is switched on for a session, not for a pass."""
        with tempfile.TemporaryDirectory() as folder:
            options = self.options(about)
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(folder, "profile")
            session = self.load(about, options)
            session.run(names, feed)
            begun = time.perf_counter()
            results = session.run(names, feed)
            seconds = time.perf_counter() - begun
            with open(session.end_profiling()) as file:
                events = json.load(file)
        # The second pass: the first one's times are those of a cold session.
        first = max(event["ts"] for event in events if event.get("name") == "model_run")
        nodes = []
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and event["ts"] >= first:
                provider = event["args"].get("provider", "unknown")
                nodes.append(
                    {
                        "node": event["name"].removesuffix("_kernel_time"),
                        "op": event["args"].get("op_name", "unknown"),
                        "device": device_of(provider),
                        "start_s": (event["ts"] - first) * 1e-6,
                        "seconds": event["dur"] * 1e-6,
                    }
                )
        nodes.sort(key=lambda node: node["start_s"])
        return results, {"seconds": seconds, "nodes": nodes}

    def placement(self, ask):
        session, _ = self.sessions[ask["session"]]
        counts = {}
        for part in session.get_provider_graph_assignment_info():
            device = device_of(part.ep_name)
            counts[device] = counts.get(device, 0) + len(part.get_nodes())
        entries = [{"device": device, "nodes": nodes, "time_share": None} for device, nodes in counts.items()]
        return {"entries": entries, "source": "ONNX Runtime's own account of which provider took which node"}

    def memory(self, ask):
        # The package gives no account of its arena.
        return {"in_use": None, "peak": None, "reserved": None}

    def close(self, ask):
        self.sessions.pop(ask["session"], None)
        return {}


def device_of(provider):
    return next((name for name, of in PROVIDERS.items() if of == provider), provider)


def numerics(ask):
    """The precision in which it computes: what the file asks of linears with few bits, where it has any."""
    with open(ask["model"], "rb") as file:
        packed = re.search(rb"MatMulNBits", file.read()) is not None
    if not packed:
        return "f32"
    return "int8_activations" if ask["way"] == "int8" and ask["device"] == "cpu" else "weight_only"


def main():
    engine = Engine()
    # Line by line, and not through a buffer that could hold the next question back.
    with os.fdopen(int(os.environ["DITBENCH_ANSWERS_FD"]), "w") as answers:
        for line in iter(sys.stdin.readline, ""):
            ask = json.loads(line)
            try:
                what = ask["ask"]
                if what == "quit":
                    answer = {}
                elif what in ("describe", "compile", "run", "placement", "memory", "close"):
                    answer = getattr(engine, what)(ask)
                else:
                    raise Refused("unsupported", f'this engine does not know the question "{what}"')
            except Refused as refusal:
                answer = {"error": refusal.answer}
            except Exception as error:  # whatever the runtime throws is the finding
                why = " ".join(str(error).split())
                answer = {"error": {"kind": "failed", "why": why or type(error).__name__}}
            print(json.dumps({"id": ask["id"], **answer}), file=answers, flush=True)
            if ask["ask"] == "quit":
                break


if __name__ == "__main__":
    main()
