"""ONNX files of networks that transcribe, whose weights are known: what tests of transcription listen with."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper

from mirclr.audio.pitched import BANDS
from mirclr.models.portable_transcriber import FORMAT, INPUT, KEY, OUTPUT

WHOLE = TensorProto.INT64


def constant(name, values, kind=TensorProto.FLOAT):
    """A number, or several, that nodes take."""
    values = np.asarray(values)
    return helper.make_tensor(name, kind, values.shape, values.flatten().tolist())


def write_network(path, kind, nodes, constants, rows, frames):
    """Write a network of a kind, ``notes`` or ``song``, that gives (B, *rows, frames); returns where."""
    takes = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["b", 2, BANDS, frames])
    gives = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["b", *rows, frames])
    model = helper.make_model(
        helper.make_graph(nodes, kind, [takes], [gives], constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps({"format": FORMAT, "kind": kind, "reach": 1, "frames": frames})
    onnx.save(model, path)
    return path
