"""Writes the golden files of `torch.rs`: small files in the layout of torch.save, without PyTorch itself.

python3 make.py        (needs numpy)
"""

import argparse
import collections
import datetime
import enum
import functools
import io
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
sys.modules |= {"torch": torch, "torch._utils": utils, "script": types.ModuleType("script")}


def named(module, name, thing):
    thing.__module__, thing.__qualname__, thing.__name__ = module, name, name
    setattr(sys.modules[module], name, thing)
    return thing


rebuild = named("torch._utils", "_rebuild_tensor_v2", lambda *arguments: None)
FLOATS = named("torch", "FloatStorage", type("FloatStorage", (), {}))
LONGS = named("torch", "LongStorage", type("LongStorage", (), {}))
COMPLEX = named("torch", "ComplexFloatStorage", type("ComplexFloatStorage", (), {}))


class Storage:
    def __init__(self, kind, data):
        self.kind, self.data = kind, data


class Tensor:
    def __init__(self, numbers, shape, strides=None, offset=0, storage=None):
        code, kind = ("q", LONGS) if all(isinstance(number, int) for number in numbers) else ("f", FLOATS)
        self.storage = storage or Storage(kind, struct.pack(f"<{len(numbers)}{code}", *numbers))
        steps = []
        for side in reversed(shape):
            steps.insert(0, steps[0] * shape[len(shape) - len(steps)] if steps else 1)
        self.parts = (offset, shape, strides or tuple(steps))

    def __reduce__(self):
        return rebuild, (self.storage, *self.parts, False, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = []

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        if thing not in self.storages:
            self.storages.append(thing)
        return ("storage", thing.kind, str(self.storages.index(thing)), "cpu", len(thing.data) // 4)


def save(name, thing):
    text = io.BytesIO()
    pickler = Pickler(text)
    pickler.dump(thing)
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        folder = name.split(".")[0]
        archive.writestr(f"{folder}/data.pkl", text.getvalue())
        archive.writestr(f"{folder}/byteorder", "little")
        for number, storage in enumerate(pickler.storages):
            archive.writestr(f"{folder}/data/{number}", storage.data)


Mode = named("script", "Mode", enum.Enum("Mode", {"TRAIN": 1}))
Settings = named("script", "Settings", type("Settings", (dict,), {}))
Tracker = named("script", "Tracker", type("Tracker", (), {}))
tracker = Tracker()
tracker.itself, tracker.best = tracker, Tensor([9.0], (1,))


def weights(first, prefix):
    both = Storage(FLOATS, struct.pack("<8f", *(first + number for number in range(8))))
    state = collections.OrderedDict()
    state[prefix + "bn.weight"] = Tensor([], (2,), storage=both)
    # A view of the transpose: the numbers of the storage from the third on, column after column.
    state[prefix + "fc.weight"] = Tensor([], (3, 2), (1, 3), 2, storage=both)
    state[prefix + "bn.num_batches_tracked"] = Tensor([7], ())
    state._metadata = collections.OrderedDict(version=1)
    return state


save("training.pth", {
    "epoch": 3,
    "arch": "small",
    "state_dict": weights(0.0, "module._orig_mod."),
    "state_dict_ema": weights(10.0, "_orig_mod.module."),
    "optimizer": {
        "state": {0: {"step": Tensor([1.0], ()), "exp_avg": Tensor([0.5, 0.25], (2,))}},
        "param_groups": [{"lr": np.float64(0.1), "betas": (0.9, 0.999), "params": [0, 1]}],
    },
    "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("x"), when=datetime.datetime(2024, 1, 2)),
    "mode": Mode.TRAIN,
    "schedule": functools.partial(max, 1),
    "counts": collections.defaultdict(list, {("a", 1): [1], None: [2]}),
    "milestones": collections.Counter({30: 1}),
    "settings": Settings(depth=3, big=2**80),
    "best": np.float32(0.75),
    "array": np.arange(3.0),
    "ids": {1, 2},
    "tracker": tracker,
    "spectrum": Tensor([], (1,), storage=Storage(COMPLEX, bytes(8))),
})

# torch.save(model): the module itself, with a buffer that its state_dict leaves out.
Layer = named("script", "Layer", type("Layer", (), {}))


def module(parameters, buffers, modules, passing=()):
    layer = Layer()
    layer.training = True
    layer._parameters, layer._buffers, layer._modules = parameters, buffers, modules
    layer._non_persistent_buffers_set = set(passing)
    return layer


bn = module({"weight": Tensor([1.5, 2.5], (2,))}, {"cache": Tensor([3.0], (1,))}, {}, {"cache"})
fc = module({"weight": Tensor([float(number) for number in range(6)], (3, 2)), "bias": None}, {}, {})
save("module.pth", module({}, {}, {"bn": bn, "fc": fc}))
