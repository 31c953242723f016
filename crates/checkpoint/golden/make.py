"""Writes the golden files of `torch.rs`: small files in the layouts of torch.save, without PyTorch itself.

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
import tarfile
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


WIDTHS = {FLOATS: 4, LONGS: 8, COMPLEX: 8}


class Pickler(pickle.Pickler):
    """Names storages, as zips and streams do, whose ids have one part more."""

    def __init__(self, file, *more):
        super().__init__(file, protocol=2)
        self.storages, self.more = [], more

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        if thing not in self.storages:
            self.storages.append(thing)
        count = len(thing.data) // WIDTHS[thing.kind]
        return ("storage", thing.kind, str(self.storages.index(thing)), "cpu", count, *self.more)


class Naming(pickle.Pickler):
    """Names tensors, as tars do."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.tensors = []

    def persistent_id(self, thing):
        if not isinstance(thing, Tensor):
            return None
        if thing not in self.tensors:
            self.tensors.append(thing)
        return str(1000 + self.tensors.index(thing))


def save(name, thing, packing=zipfile.ZIP_DEFLATED):
    text = io.BytesIO()
    pickler = Pickler(text)
    pickler.dump(thing)
    with zipfile.ZipFile(name, "w", packing) as archive:
        folder = name.split(".")[0]
        archive.writestr(f"{folder}/data.pkl", text.getvalue())
        archive.writestr(f"{folder}/byteorder", "little")
        for number, storage in enumerate(pickler.storages):
            archive.writestr(f"{folder}/data/{number}", storage.data)


SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def counted(storage):
    return struct.pack("<q", len(storage.data) // WIDTHS[storage.kind]) + storage.data


def save_stream(name, thing):
    with open(name, "wb") as file:
        for head in (0x1950A86A20F9469CFC6C, 1001, SYSTEM):
            pickle.dump(head, file, protocol=2)
        pickler = Pickler(file, None)
        pickler.dump(thing)
        keys = sorted(str(number) for number in range(len(pickler.storages)))
        pickle.dump(keys, file, protocol=2)
        for key in keys:
            file.write(counted(pickler.storages[int(key)]))


def save_tar(name, thing):
    text = io.BytesIO()
    pickler = Naming(text)
    pickler.dump(thing)
    storages = []
    for tensor in pickler.tensors:
        if tensor.storage not in storages:
            storages.append(tensor.storage)
    table = pickle.dumps(len(storages), protocol=2)
    for number, storage in enumerate(storages):
        table += pickle.dumps((number, "cpu", storage.kind), protocol=2) + counted(storage)
    # The first storage from its third number on, under a name of its own.
    parts = [(100, 0, 2, len(storages[0].data) // WIDTHS[storages[0].kind] - 2)]
    table += pickle.dumps(parts, protocol=2)
    tensors = pickle.dumps(len(pickler.tensors), protocol=2)
    for number, tensor in enumerate(pickler.tensors):
        offset, shape, strides = tensor.parts
        storage = storages.index(tensor.storage)
        if storage == 0 and offset >= 2:
            storage, offset = 100, offset - 2
        tensors += pickle.dumps((1000 + number, storage, tensor.storage.kind), protocol=2)
        tensors += struct.pack(f"<ii{2 * len(shape) + 1}q", len(shape), 0, *shape, *strides, offset)
    entries = {"sys_info": pickle.dumps(SYSTEM, protocol=2), "storages": table, "tensors": tensors}
    with tarfile.open(name, "w:", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in {**entries, "pickle": text.getvalue()}.items():
            about = tarfile.TarInfo(entry)
            about.size, about.mtime = len(content), 1.5e9 + 0.25
            archive.addfile(about, io.BytesIO(content))


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


training = {
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
}
save("training.pth", training)
save("stored.pth", training, zipfile.ZIP_STORED)
save_stream("stream.pth", training)
save_tar("tar.pth", weights(0.0, ""))

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
