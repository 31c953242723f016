"""Reference names, outputs, gradients and weights after training of the models of ImageNet, by torchvision's and timm's
own models in double precision.

usage: python imagenet.py       needs: pip install torch torchvision timm
writes imagenet.json beside itself

Nothing is drawn. A tensor of the model's state is filled by its name: with k the CRC-32 of the name and S the function
below of k and the place i, in [-1, 1) and of 24 bits,
    weights of two axes or more   S * sqrt(3 / fan_in), fan_in being the numbers that share the first index
    scales of norms, variances    1 + S / 10
    all other vectors             S / 10
rounded to single precision; pictures are S of the name "pictures". Deep networks keep their numbers in range by the
division by fan-in, and a formula that mixes bits keeps a network from meeting patterns that cancel.

Before training, scales of norms by the batch are a quarter of that, and their biases greater by 1: four deviations from
0, which is where a ReLU's slope jumps. Around 0 ResNet-18, with 750 000 such numbers, has one in every few steps that
rounding alone decides, and each library at steps of its own. A single one turned over is 3 % of the gradient of a norm
in ResNet-18; at four deviations PyTorch's weights and losses move by parts in 10^6 when all weights are moved by parts
in 10^7.

names      CRC-32 of the lines "name [sizes]" of all tensors of the state, sorted, but for batch counters
logits     in evaluation mode: norms by running statistics, nothing dropped
loss       cross-entropy of these
gradients  of that loss, sorted by name: norm, and product with S of the name "checksum"
trained    where there is one: norm and that product of the change of each tensor of the state, sorted by name, by ten
           steps of stochastic gradient descent with momentum 0.9 in training mode, on the same pictures; running
           variances by the biased variance of a batch, which is Burn's habit and not PyTorch's
"""

import json
import math
import pathlib
import zlib

import numpy
import timm
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig, ConvNeXt

CLASSES, BATCH = 5, 4


def scattered(name, count):
    with numpy.errstate(over="ignore"):
        mixed = numpy.uint64(zlib.crc32(name.encode())) * numpy.uint64(0x9E3779B97F4A7C15)
        mixed = mixed ^ numpy.arange(1, count + 1, dtype=numpy.uint64)
        for _ in range(3):
            mixed = (mixed ^ (mixed >> numpy.uint64(29))) * numpy.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> numpy.uint64(40)).astype(numpy.float64) / 2**23 - 1


def filled(name, shape, calm):
    values = scattered(name, math.prod(shape))
    if len(shape) > 1:
        values *= math.sqrt(3 / math.prod(shape[1:]))
    elif name.endswith("running_var") or (name.endswith("weight")):
        values = 1 + values / 10
    else:
        values /= 10
    if calm and name.endswith(".weight"):
        values /= 4
    elif calm and name.endswith(".bias"):
        values += 1
    return torch.from_numpy(values.astype(numpy.float32).astype(numpy.float64)).reshape(shape)


def digest(name, value):
    return [value.norm().item(), (value.flatten() * torch.from_numpy(scattered("checksum", value.numel()))).sum().item()]


class BatchNorm(nn.BatchNorm2d):
    """PyTorch's, but for the running variance, which is moved by the biased one."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Scaled(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 0.125


def resnet9(num_classes):
    """Page's network: there is none in torchvision."""

    def layer(inputs, outputs, *others):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), *others
        )

    pool = nn.MaxPool2d(2)
    residual = lambda width: Residual(layer(width, width), layer(width, width))
    return nn.Sequential(
        layer(3, 64),
        layer(64, 128, pool, residual(128)),
        layer(128, 256, pool),
        layer(256, 512, pool, residual(512)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        Scaled(512, num_classes, bias=False),
    )


def of_timm(name, **options):
    return lambda num_classes: timm.create_model(name, num_classes=num_classes, **options)


# one block a stage: all kinds of layers, in moments


def shallow_resnet50(num_classes):
    return models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=num_classes)


def shallow_mobilenet_v2(num_classes):
    stages = [(1, 16, 1), (6, 24, 2), (6, 32, 2), (6, 64, 2), (6, 96, 1), (6, 160, 2), (6, 320, 1)]
    stages = [[expansion, width, 1, stride] for expansion, width, stride in stages]
    return models.MobileNetV2(num_classes=num_classes, inverted_residual_setting=stages)


def shallow_convnext(num_classes):
    widths = [96, 192, 384, 768, None]
    return ConvNeXt([CNBlockConfig(*pair, 1) for pair in zip(widths, widths[1:])], num_classes=num_classes)


# name: builder, pixels a side, learning rate of the ten steps (none: no steps)
CASES = {
    "resnet9": (resnet9, 32, 0.01),
    "resnet18": (models.resnet18, 64, 0.0003),
    "resnet34": (models.resnet34, 64, None),
    "resnet50": (models.resnet50, 64, None),
    "resnet50_shallow": (shallow_resnet50, 64, 0.0003),
    "resnet101": (models.resnet101, 64, None),
    "resnet152": (models.resnet152, 64, None),
    "mobilenet_v2": (models.mobilenet_v2, 64, None),
    "mobilenet_v2_shallow": (shallow_mobilenet_v2, 64, 0.001),
    "efficientnet_b0": (models.efficientnet_b0, 64, 0.001),
    "efficientnet_lite0": (of_timm("efficientnet_lite0"), 64, None),
    "convnext_tiny": (models.convnext_tiny, 64, None),
    "convnext_tiny_shallow": (shallow_convnext, 64, 0.001),
    "convnext_small": (models.convnext_small, 64, None),
    "vit_ti16": (of_timm("vit_tiny_patch16_224", img_size=64), 64, 0.001),
    "vit_ti16_mean": (of_timm("vit_tiny_patch16_224", img_size=64, class_token=False, global_pool="avg"), 64, None),
    "vit_s16": (of_timm("vit_small_patch16_224", img_size=64), 64, None),
    "vit_b16": (lambda num_classes: models.vit_b_16(num_classes=num_classes, image_size=64), 64, None),
}


def state(model):
    return {name: value for name, value in sorted(model.state_dict().items()) if "num_batches_tracked" not in name}


def prepared(build, train):
    model = build(num_classes=CLASSES).double().train(train)
    with torch.no_grad():
        tensors = state(model)
        for name, value in tensors.items():
            by_batch = name.rpartition(".")[0] + ".running_mean" in tensors
            value.copy_(filled(name, value.shape, calm=train and by_batch))
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = BatchNorm
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "stochastic_depth"):
            module.stochastic_depth.p = 0.0
    return model


def run(build, side, learning_rate):
    pictures = torch.from_numpy(scattered("pictures", BATCH * 3 * side * side)).reshape(BATCH, 3, side, side)
    labels = torch.arange(BATCH) * 3 % CLASSES
    model = prepared(build, train=False)
    lines = "\n".join(f"{name} {list(value.shape)}" for name, value in state(model).items())
    logits = model(pictures)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    gradients = [digest(name, parameter.grad) for name, parameter in sorted(model.named_parameters())]
    result = {
        "names": zlib.crc32(lines.encode()),
        "logits": logits.flatten().tolist(),
        "loss": loss.item(),
        "gradients": gradients,
    }
    if learning_rate:
        model = prepared(build, train=True)
        before = {name: value.clone() for name, value in state(model).items()}
        optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(pictures), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        result["learning_rate"] = learning_rate
        result["losses"] = losses
        result["trained"] = [digest(name, value - before[name]) for name, value in state(model).items()]
    return result


def rounded(value):
    return [rounded(item) for item in value] if isinstance(value, list) else float(f"{value:.7g}")


lines = []
for case, (build, side, learning_rate) in CASES.items():
    result = run(build, side, learning_rate)
    kept = {key: value if key == "names" else rounded(value) for key, value in result.items()}
    lines.append(f"{json.dumps(case)}: {json.dumps(kept)}")
    print(case, f"{result['loss']:.6f}", [round(loss, 4) for loss in result.get("losses", [])], flush=True)
pathlib.Path(__file__).with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
