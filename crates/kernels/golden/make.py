"""Reference outputs and gradients of every differentiable op, computed by PyTorch in double precision.

usage: python make.py       needs: pip install torch
writes dense.json, losses.json, images.json, sequences.json and optimizers.json beside itself

Nothing is drawn: input number p of a case holds at element i
    ((7919 i + 104729 p + 17) mod 10007 / 10007 - 1/2) * 0.8
and the gradients are those of the output's sum, weighted by the filling of number 99. So the files hold results alone;
`src/proof/` has the same cases by the same names, and `src/proof/golden.rs` compares.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)


def filled(number, *shape):
    index = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((index * 7919 + number * 104729 + 17) % 10007).double() / 10007 - 0.5).reshape(shape) * 0.8


class Fill:
    """Hands out a case's inputs in their order."""

    def __init__(self):
        self.number, self.leaves = 0, []

    def __call__(self, *shape, scale=1):
        leaf = (scale * self.untracked(*shape)).requires_grad_()
        self.leaves.append(leaf)
        return leaf

    def untracked(self, *shape):
        self.number += 1
        return filled(self.number - 1, *shape)


CASES = {}


def case(family, *variants):
    """Registers a builder of an output: by its own name, or for each variant by the name that comes first."""

    def register(build):
        for name, *rest in variants or [[build.__name__]]:

            def run(rest=rest):
                fill = Fill()
                output = build(fill, *rest)
                if fill.leaves:
                    (output * filled(99, *output.shape)).sum().backward()
                # no gradient: an input that the variant does not use
                gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in fill.leaves]
                return {"output": output.flatten().tolist(), "gradients": [g.flatten().tolist() for g in gradients]}

            CASES.setdefault(family, {})[name] = run
        return build

    return register


def identity(x):
    return x


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


def indices(below, *shape):
    places = torch.arange(math.prod(shape))
    return ((places * 7 + places // 3) % below).reshape(shape)


# ---- dense


@case(
    "dense",
    ["linear", identity],
    ["linear_relu", F.relu],
    ["linear_relu6", F.relu6],
    ["linear_gelu", F.gelu],
    ["linear_gelu_tanh", gelu_tanh],
    ["linear_silu", F.silu],
    ["linear_tanh", torch.tanh],
)
def linear(fill, activation):
    x, weight, bias = fill(3, 4), fill(4, 5), fill(5)
    return activation(F.linear(x, weight.T, bias))


@case("dense")
def linear_no_bias(fill):
    return fill(2, 3, 4) @ fill(4, 5)


@case("dense")
def linear_narrow(fill):
    x, weight, bias = fill(3, 4), fill(4, 2), fill(2)
    return F.linear(x, weight.T, bias)


@case("dense")
def linear_onto(fill):
    residual, x, weight, bias = fill(2, 3, 5), fill(2, 3, 2), fill(2, 5), fill(5)
    return residual + F.linear(x, weight.T, bias)


@case("dense")
def embedding(fill):
    return F.embedding(indices(4, 2, 3), fill(4, 3))


def mixed(x):
    """SplitMix64's finaliser."""
    wide = 2**64 - 1
    x = (x + 0x9E3779B97F4A7C15) & wide
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & wide
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & wide
    return x ^ (x >> 31)


def dropout_factor(row, place, probability, seed):
    """The mask of `src/dropout.rs`, which is a hash of the row and the place in it: PyTorch draws another."""
    z, narrow = mixed(seed + 0x9E3779B97F4A7C15 * row), 2**32 - 1
    x = (place + (z & narrow)) & narrow
    x = (x ^ (x >> 17)) * 0xED5AD4BB & narrow ^ (z >> 32)
    x = (x ^ (x >> 11)) * 0xAC4C1B51 & narrow
    x = (x ^ (x >> 15)) * 0x31848BAB & narrow
    return 0.0 if x ^ (x >> 14) < int(probability * 2**32) else 1 / (1 - probability)


@case("dense")
def dropout(fill):
    return fill(4, 7) * torch.tensor([[dropout_factor(row, place, 0.4, 5) for place in range(7)] for row in range(4)])


@case("dense")
def layer_norm(fill):
    x, weight, bias = fill(3, 5), fill(5), fill(5)
    return F.layer_norm(x, (5,), weight, bias, 1e-3)


@case("dense")
def layer_norm_no_bias(fill):
    x, weight = fill(2, 3, 4), fill(4)
    return F.layer_norm(x, (4,), weight, None, 1e-3)


@case("dense")
def rms_norm(fill):
    x, weight = fill(3, 5), fill(5)
    return F.rms_norm(x, (5,), weight, 1e-3)


@case("dense")
def group_norm(fill):
    x, weight, bias = fill(2, 4, 3, 2), fill(4), fill(4)
    return F.group_norm(x, 2, weight, bias, 1e-3)


@case("dense")
def instance_norm(fill):
    x, weight, bias = fill(2, 2, 3, 2), fill(2), fill(2)
    return F.instance_norm(x, weight=weight, bias=bias, eps=1e-3)


@case("dense")
def scaled(fill):
    return fill(3, 5) * -0.75


@case("dense")
def blended(fill):
    return torch.lerp(fill(3, 5), fill(3, 5), 0.125)


# ---- losses


@case(
    "losses",
    ["cross_entropy", 0.0, False],
    ["cross_entropy_smoothed", 0.1, False],
    ["cross_entropy_weighted", 0.2, True],
)
def cross_entropy(fill, smoothing, weighted):
    logits, weights = fill(4, 5, scale=5), fill.untracked(4) + 1
    losses = F.cross_entropy(logits, indices(5, 4), label_smoothing=smoothing, reduction="none")
    return (losses * weights if weighted else losses).mean().reshape(1)


@case("losses")
def cross_entropy_soft(fill):
    logits, targets = fill(4, 5, scale=5), fill.untracked(4, 5) + 1
    return F.cross_entropy(logits, targets).reshape(1)


@case(
    "losses",
    ["mean_error_squared", F.mse_loss],
    ["mean_error_absolute", F.l1_loss],
    ["mean_error_huber", lambda output, target: F.huber_loss(output, target, delta=0.2)],
)
def mean_error(fill, loss):
    return loss(fill(4, 5), fill(4, 5)).reshape(1)


# ---- images


@case(
    "images",
    ["conv2d", identity, (3, 3), (1, 1), (1, 1), (1, 1), 1],
    ["conv2d_relu", F.relu, (3, 3), (1, 1), (1, 1), (1, 1), 1],
    ["conv2d_strided", identity, (3, 2), (2, 3), (1, 0), (1, 1), 1],
    ["conv2d_strided_gelu", F.gelu, (3, 2), (2, 3), (1, 0), (1, 1), 1],
    ["conv2d_dilated", identity, (2, 3), (1, 1), (0, 2), (2, 2), 1],
    ["conv2d_dilated_gelu_tanh", gelu_tanh, (2, 3), (1, 1), (0, 2), (2, 2), 1],
    ["conv2d_grouped", identity, (3, 3), (2, 1), (1, 1), (1, 1), 2],
    ["conv2d_grouped_silu", F.silu, (3, 3), (2, 1), (1, 1), (1, 1), 2],
    ["conv2d_pointwise", identity, (1, 1), (1, 1), (0, 0), (1, 1), 1],
    ["conv2d_pointwise_tanh", torch.tanh, (1, 1), (1, 1), (0, 0), (1, 1), 1],
)
def conv2d(fill, activation, kernel, stride, padding, dilation, groups):
    x, weight, bias = fill(2, 2 * groups, 4, 5), fill(2 * groups, 2, *kernel), fill(2 * groups)
    return activation(F.conv2d(x, weight, bias, stride, padding, dilation, groups))


@case(
    "images",
    ["conv_transpose2d", identity, (2, 2), (2, 2), (0, 0), (0, 0), 1, (1, 1)],
    ["conv_transpose2d_relu", F.relu, (2, 2), (2, 2), (0, 0), (0, 0), 1, (1, 1)],
    ["conv_transpose2d_padded", identity, (3, 3), (2, 1), (1, 1), (1, 0), 1, (1, 1)],
    ["conv_transpose2d_padded_gelu", F.gelu, (3, 3), (2, 1), (1, 1), (1, 0), 1, (1, 1)],
    ["conv_transpose2d_dilated", identity, (2, 3), (1, 2), (0, 1), (0, 0), 1, (2, 2)],
    ["conv_transpose2d_dilated_tanh", torch.tanh, (2, 3), (1, 2), (0, 1), (0, 0), 1, (2, 2)],
    ["conv_transpose2d_grouped", identity, (3, 2), (3, 2), (1, 0), (2, 1), 2, (1, 1)],
    ["conv_transpose2d_grouped_silu", F.silu, (3, 2), (3, 2), (1, 0), (2, 1), 2, (1, 1)],
)
def conv_transpose2d(fill, activation, kernel, stride, padding, padding_out, groups, dilation):
    x, weight, bias = fill(2, 2 * groups, 3, 2), fill(2 * groups, 2, *kernel), fill(2 * groups)
    return activation(F.conv_transpose2d(x, weight, bias, stride, padding, padding_out, groups, dilation))


@case(
    "images",
    ["depthwise_conv2d", identity, (3, 3), (1, 1), (1, 1), (1, 1)],
    ["depthwise_conv2d_relu", F.relu, (3, 3), (1, 1), (1, 1), (1, 1)],
    ["depthwise_conv2d_wide", identity, (5, 5), (1, 1), (2, 2), (1, 1)],
    ["depthwise_conv2d_wide_gelu", F.gelu, (5, 5), (1, 1), (2, 2), (1, 1)],
    ["depthwise_conv2d_strided", identity, (3, 3), (2, 2), (1, 1), (1, 1)],
    ["depthwise_conv2d_strided_silu", F.silu, (3, 3), (2, 2), (1, 1), (1, 1)],
    ["depthwise_conv2d_dilated", identity, (3, 2), (1, 1), (2, 0), (2, 1)],
    ["depthwise_conv2d_dilated_gelu_tanh", gelu_tanh, (3, 2), (1, 1), (2, 0), (2, 1)],
)
def depthwise_conv2d(fill, activation, kernel, stride, padding, dilation):
    x, weight, bias = fill(2, 3, 4, 5), fill(3, 1, *kernel), fill(3)
    return activation(F.conv2d(x, weight, bias, stride, padding, dilation, 3))


@case(
    "images",
    ["max_pool2d", (2, 2), (2, 2), (0, 0), (1, 1)],
    ["max_pool2d_overlapping", (3, 2), (2, 1), (1, 0), (1, 2)],
)
def max_pool2d(fill, kernel, stride, padding, dilation):
    return F.max_pool2d(fill(2, 2, 5, 4), kernel, stride, padding, dilation)


@case("images", ["avg_pool2d", True], ["avg_pool2d_of_pixels", False])
def avg_pool2d(fill, count_include_pad):
    return F.avg_pool2d(fill(2, 2, 5, 4), (3, 2), (2, 1), (1, 1), count_include_pad=count_include_pad)


@case("images")
def global_avg_pool(fill):
    return fill(2, 3, 3, 4).mean((2, 3))


@case(
    "images",
    ["batch_norm_train", False, identity],
    ["batch_norm_train_silu", False, F.silu],
    ["batch_norm_train_residual_relu", True, F.relu],
)
def batch_norm_train(fill, onto, activation):
    x, weight, bias, residual = fill(3, 2, 2, 3), fill(2), fill(2), fill(3, 2, 2, 3)
    y = F.batch_norm(x, None, None, weight, bias, True, eps=1e-3)
    return activation(y + residual if onto else y)


@case(
    "images",
    ["batch_norm_eval", False, identity],
    ["batch_norm_eval_gelu", False, F.gelu],
    ["batch_norm_eval_residual_relu", True, F.relu],
)
def batch_norm_eval(fill, onto, activation):
    x, weight, bias, residual = fill(3, 2, 2, 3), fill(2), fill(2), fill(3, 2, 2, 3)
    y = F.batch_norm(x, fill.untracked(2), fill.untracked(2) + 1.5, weight, bias, eps=1e-3)
    return activation(y + residual if onto else y)


@case("images")
def batch_norm_moments(fill):
    variance, mean = torch.var_mean(fill.untracked(3, 2, 2, 3), (0, 2, 3), correction=0)
    return torch.cat([mean, variance])


# ---- sequences


def text(batch, tokens):
    """True where a text has a token; they end one after the other."""
    return torch.arange(tokens) < tokens - torch.arange(batch)[:, None] % tokens


def attend(query, key, value, heads, causal=False, masked=False, kept=None):
    batch, queries, _ = query.shape
    keys = key.shape[1]
    mask = torch.ones(queries, keys).tril(keys - queries).bool() if causal else torch.ones(queries, keys).bool()
    mask = mask & text(batch, keys)[:, None, None, :] if masked else mask
    split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
    query, key, value = split(query), split(key), split(value)
    if kept is None:
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    else:
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        mixed = (weights * kept.reshape(weights.shape)) @ value
    return mixed.transpose(1, 2).flatten(2)


@case(
    "sequences",
    ["attention", False, False],
    ["attention_causal", True, False],
    ["attention_masked", False, True],
    ["attention_causal_masked", True, True],
)
def attention(fill, causal, masked):
    return attend(*fill(2, 4, 18, scale=3).chunk(3, -1), 2, causal, masked)


@case(
    "sequences",
    ["cross_attention", False, False],
    ["cross_attention_causal", True, False],
    ["cross_attention_masked", False, True],
)
def cross_attention(fill, causal, masked):
    return attend(fill(2, 3, 6, scale=3), fill(2, 5, 6, scale=3), fill(2, 5, 6), 2, causal, masked)


def weight_factor(row, column, share, seed):
    """The mask of `src/attention/dropout.rs`."""
    key, narrow = mixed(seed ^ mixed(row)), 2**32 - 1
    x = column * 0x9E3779B9 & narrow ^ (key & narrow)
    x = (x ^ (x >> 16)) * 0x7FEB352D & narrow ^ (key >> 32)
    x = (x ^ (x >> 15)) * 0x846CA68B & narrow
    return 0.0 if x ^ (x >> 16) < int(share * 2**32) else 1 / (1 - share)


@case("sequences")
def cross_attention_dropping(fill):
    rows = [row // 3 << 32 ^ row % 3 for row in range(12)]  # sample and head, and the query
    kept = torch.tensor([[weight_factor(row, column, 0.3, 11) for column in range(5)] for row in rows])
    return attend(fill(2, 3, 6, scale=3), fill(2, 5, 6, scale=3), fill(2, 5, 6), 2, kept=kept)


def reordered(tensor, order):
    """Gate blocks of the last axis, in PyTorch's order, from those of the Rust layout."""
    blocks = tensor.chunk(len(order), -1)
    return torch.cat([blocks[index] for index in order], -1)


def recurrent(layer, parameters, x, backwards):
    """All states; backwards, those of texts that end one after the other, as a packed sequence has them."""
    steps, batch, _ = x.shape
    named = dict(zip(["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"], parameters))
    if not backwards:
        return torch.func.functional_call(layer, {k: v.contiguous() for k, v in named.items()}, (x,))[0]
    named.update({name + "_reverse": value for name, value in named.items()})
    named = {name: value.contiguous() for name, value in named.items()}
    packed = nn.utils.rnn.pack_padded_sequence(x, text(batch, steps).sum(1))
    states, _ = torch.func.functional_call(layer, named, (packed,))
    return nn.utils.rnn.pad_packed_sequence(states)[0][..., states.data.shape[-1] // 2 :]


@case("sequences", ["lstm", False], ["lstm_backwards", True])
def lstm(fill, backwards):
    x, weight, bias = fill(3, 2, 2), fill(5, 12), fill(12)
    order = [0, 1, 3, 2]  # input, forget, candidate, output of input, forget, output, candidate
    joined = reordered(weight, order)
    parameters = [joined[:2].T, joined[2:].T, reordered(bias, order), torch.zeros(12)]
    return recurrent(nn.LSTM(2, 3, bidirectional=backwards), parameters, x, backwards)


@case("sequences", ["gru", False], ["gru_backwards", True])
def gru(fill, backwards):
    x, weight, hidden, bias, candidate = fill(3, 2, 2), fill(2, 9), fill(3, 9), fill(9), fill(3)
    parameters = [weight.T, hidden.T, bias, torch.cat([torch.zeros(6), candidate])]
    return recurrent(nn.GRU(2, 3, bidirectional=backwards), parameters, x, backwards)


@case("sequences", ["rnn_tanh", "tanh", False], ["rnn_tanh_backwards", "tanh", True], ["rnn_relu", "relu", False])
def rnn(fill, squash, backwards):
    x, weight, bias = fill(3, 2, 2), fill(5, 3), fill(3)
    parameters = [weight[:2].T, weight[2:].T, bias, torch.zeros(3)]
    return recurrent(nn.RNN(2, 3, nonlinearity=squash, bidirectional=backwards), parameters, x, backwards)


# ---- optimizers


class Lamb(torch.optim.Optimizer):
    """You et al. 2019, which PyTorch lacks, with the moments corrected as Adam's are."""

    def __init__(self, parameters, lr, betas, eps, weight_decay):
        super().__init__(parameters, {"lr": lr})
        self.betas, self.eps, self.weight_decay, self.steps, self.moments = betas, eps, weight_decay, 0, [0.0, 0.0]

    def step(self):
        self.steps += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                powers = [parameter.grad, parameter.grad**2]
                self.moments = [b * m + (1 - b) * g for b, m, g in zip(self.betas, self.moments, powers)]
                first, second = [m / (1 - b**self.steps) for b, m in zip(self.betas, self.moments)]
                update = first / (second.sqrt() + self.eps) + self.weight_decay * parameter.data
                parameter.data -= group["lr"] * parameter.data.norm() / update.norm() * update


ADAM = {"betas": (0.9, 0.99), "eps": 1e-3, "weight_decay": 0.1}


@case(
    "optimizers",
    ["sgd", torch.optim.SGD, {}],
    ["sgd_momentum", torch.optim.SGD, {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.05}],
    ["sgd_nesterov", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}],
    ["adam", torch.optim.Adam, ADAM],
    ["adamw", torch.optim.AdamW, ADAM],
    ["lamb", Lamb, ADAM],
)
def optimizer(fill, kind, options):
    parameter, after = nn.Parameter(fill.untracked(5, 3)), []
    steps = kind([parameter], lr=0.1, **options)
    for rate in [0.1, 0.05, 0.025]:
        steps.param_groups[0]["lr"] = rate
        parameter.grad = fill.untracked(5, 3)
        steps.step()
        after.append(parameter.detach().clone())
    return torch.cat(after)


def rounded(value):
    return [rounded(item) for item in value] if isinstance(value, list) else float(f"{value:.8g}")


for family, cases in CASES.items():
    results = {name: {key: rounded(value) for key, value in run().items()} for name, run in cases.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(result)}" for name, result in results.items())
    pathlib.Path(__file__).with_name(f"{family}.json").write_text("{\n" + lines + "\n}\n")
    print(f"{family}: {len(results)} cases")
