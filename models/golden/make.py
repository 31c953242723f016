"""Reference outputs, losses and gradients of every architecture, computed by PyTorch in double precision.

usage: python make.py       needs: pip install torch
writes linear.json, cnn.json, rnn.json, autoencoder.json and attention.json beside itself

Nothing is drawn: parameter number p of a model (in the order of the Rust module's fields) holds at element i
    ((7919 i + 104729 p + 17) mod 10007 / 10007 - 1/2) * 0.8
in the Rust module's layout, one more for a variance; inputs are filled likewise. So the files hold results alone, and
`src/golden.rs` builds the same models. Of a language model, the output is kept where there is text. A gradient is told by its norm and its product with the filling of number 99.
Models are in evaluation mode: batch norm by its running statistics, no dropout, a variational code at its mean.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.set_default_dtype(torch.float64)


def raw(number, *shape):
    index = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((index * 7919 + number * 104729 + 17) % 10007).double() / 10007).reshape(shape)


def filled(number, *shape):
    return (raw(number, *shape) - 0.5) * 0.8


class Fill:
    """Hands out a model's parameters in the order of the Rust module's fields."""

    def __init__(self):
        self.number, self.parameters = 0, []

    def __call__(self, *shape):
        parameter = filled(self.number, *shape).requires_grad_()
        self.number += 1
        self.parameters.append(parameter)
        return parameter

    def linear(self, inputs, outputs, bias=True):
        weight = self(inputs, outputs)
        shift = self(outputs) if bias else 0.0
        return lambda x: x @ weight + shift

    def conv(self, inputs, outputs, kernel, bias=True, **options):
        weight = self(outputs, inputs, kernel, kernel)
        shift = self(outputs) if bias else None
        return lambda x: F.conv2d(x, weight, shift, **options)

    def conv_transpose(self, inputs, outputs):
        weight, shift = self(inputs, outputs, 2, 2), self(outputs)
        return lambda x: F.conv_transpose2d(x, weight, shift, stride=2)

    def batch_norm(self, width):
        gamma, beta = self(width), self(width)
        mean, variance = filled(self.number, width), 1 + filled(self.number + 1, width)
        self.number += 2
        return lambda x: F.batch_norm(x, mean, variance, gamma, beta)

    def layer_norm(self, width, bias=True):
        gamma = self(width)
        beta = self(width) if bias else None
        return lambda x: F.layer_norm(x, (width,), gamma, beta)


CASES = {}


def case(family):
    def register(build):
        def run():
            fill = Fill()
            output, loss = build(fill)
            loss.backward()
            gradients = []
            for parameter in fill.parameters:
                gradient = parameter.grad
                gradients.append([gradient.norm().item(), (gradient * filled(99, *gradient.shape)).sum().item()])
            return {"output": output.flatten().tolist(), "loss": loss.item(), "gradients": gradients}

        CASES.setdefault(family, {})[build.__name__] = run
        return build

    return register


# inputs: 3 rows, 3 pictures, or 2 texts of 5 and 3 tokens
ROWS = 3
LABELS = torch.tensor([2, 0, 1])
BINARY = torch.tensor([1, 0, 1])
TOKENS = torch.tensor([[1, 4, 2, 6, 3], [5, 2, 6, 0, 0]])
LENGTHS = torch.tensor([5, 3])
TEXT = (torch.arange(5) < LENGTHS[:, None]).double()
NEXT = torch.tensor([[4, 2, 6, 3, 1], [2, 6, 1, 0, 0]])
TEXT_LABELS = torch.tensor([2, 1])

numeric = lambda columns: filled(1000, ROWS, columns)
values = lambda columns: filled(1001, ROWS, columns)
pictures = lambda *shape: filled(1000, ROWS, *shape)
CATEGORIES = torch.tensor([[1, 2], [3, 0], [0, 1]])


def two_logits(head):
    return torch.cat([torch.zeros_like(head), head], 1)


# ---- linear


@case("linear")
def linear_regression(fill):
    weight, categories, bias = fill(4, 2), fill(7, 2), fill(2)
    onehot = torch.cat([F.one_hot(CATEGORIES[:, 0], 4), F.one_hot(CATEGORIES[:, 1], 3)], 1).double()
    output = numeric(4) @ weight + onehot @ categories + bias
    return output, F.mse_loss(output, values(2))


@case("linear")
def linear_regression_huber(fill):
    output = fill.linear(4, 2)(numeric(4))
    return output, F.huber_loss(output, values(2), delta=0.3)


@case("linear")
def logistic_regression(fill):
    head = fill.linear(4, 1)(numeric(4))
    return two_logits(head), F.binary_cross_entropy_with_logits(head[:, 0], BINARY.double())


@case("linear")
def softmax_regression(fill):
    output = fill.linear(4, 3)(numeric(4))
    losses = F.cross_entropy(output, LABELS, label_smoothing=0.1, reduction="none")
    return output, (losses * torch.tensor([0.5, 2.0, 1.5])[LABELS]).mean()


def mlp(fill, activation, norm):
    embedding = fill(7, 2)
    x = torch.cat([numeric(3), embedding[CATEGORIES + torch.tensor([0, 4])].flatten(1)], 1)
    for inputs, width in [(7, 5), (5, 4)]:
        linear = fill.linear(inputs, width)
        x = activation(norm(fill, width)(linear(x)))
    output = fill.linear(4, 3)(x)
    return output, F.cross_entropy(output, LABELS)


@case("linear")
def mlp_batch_norm_gelu(fill):
    return mlp(fill, F.gelu, Fill.batch_norm)


@case("linear")
def mlp_layer_norm_silu(fill):
    return mlp(fill, F.silu, Fill.layer_norm)


@case("linear")
def mlp_tanh(fill):
    return mlp(fill, torch.tanh, lambda fill, width: lambda x: x)


# ---- cnn


@case("cnn")
def cnn(fill):
    x = pictures(2, 9, 8)
    for inputs, width in [(2, 3), (3, 4)]:
        first, second = fill.conv(inputs, width, 3, bias=False, padding=1), fill.conv(width, width, 3, bias=False, padding=1)
        first_norm, second_norm = fill.batch_norm(width), fill.batch_norm(width)
        x = F.max_pool2d(F.relu(second_norm(second(F.relu(first_norm(first(x)))))), 2)
    hidden, head = fill.linear(16, 5), fill.linear(5, 3)
    output = head(F.relu(hidden(x.flatten(1))))
    return output, F.cross_entropy(output, LABELS)


@case("cnn")
def cnn_plain(fill):
    first, second = fill.conv(2, 3, 3), fill.conv(3, 4, 3)
    x = F.max_pool2d(F.relu(second(F.relu(first(pictures(2, 9, 8))))), 2)
    hidden, head = fill.linear(16, 5), fill.linear(5, 3)
    output = head(F.relu(hidden(x.flatten(1))))
    return output, F.cross_entropy(output, LABELS)


@case("cnn")
def lenet(fill):
    first, second = fill.conv(1, 6, 5, padding=2), fill.conv(6, 16, 5)
    third, fourth, head = fill.linear(32, 120), fill.linear(120, 84), fill.linear(84, 3)
    x = F.avg_pool2d(torch.tanh(first(pictures(1, 12, 16))), 2)
    x = F.avg_pool2d(torch.tanh(second(x)), 2)
    output = head(torch.tanh(fourth(torch.tanh(third(x.flatten(1))))))
    return output, F.cross_entropy(output, LABELS)


@case("cnn")
def resnet(fill):
    stem, norm = fill.conv(3, 2, 3, bias=False, padding=1), fill.batch_norm(2)
    x = F.relu(norm(stem(pictures(3, 9, 8))))
    for inputs, width, stride in [(2, 2, 1), (2, 4, 2), (4, 8, 2)]:
        first, first_norm = fill.conv(inputs, width, 3, bias=False, padding=1, stride=stride), fill.batch_norm(width)
        second, second_norm = fill.conv(width, width, 3, bias=False, padding=1), fill.batch_norm(width)
        shortcut = x
        if stride != 1:
            projection, projection_norm = fill.conv(inputs, width, 1, bias=False, stride=stride), fill.batch_norm(width)
            shortcut = projection_norm(projection(x))
        x = F.relu(second_norm(second(F.relu(first_norm(first(x))))) + shortcut)
    output = fill.linear(8, 3)(x.mean((2, 3)))
    return output, F.cross_entropy(output, LABELS)


# ---- rnn


def gates(fill, inputs, hidden, order):
    """Parameters of PyTorch's layer from the Rust layer's gates, each of an affine map of the input and one of the state."""
    filled = [[fill(inputs, hidden), fill(hidden), fill(hidden, hidden), fill(hidden)] for _ in order]
    of_input, bias, of_state, state_bias = zip(*[filled[gate] for gate in order])
    return [torch.cat(of_input, 1).T, torch.cat(of_state, 1).T, torch.cat(bias), torch.cat(state_bias)]


def lstm_parameters(fill, inputs, hidden):
    return gates(fill, inputs, hidden, [0, 1, 3, 2])  # input, forget, cell, output of input, forget, output, cell


def gru_parameters(fill, inputs, hidden):
    return gates(fill, inputs, hidden, [1, 0, 2])  # reset, update, new of update, reset, new


def recurrent(fill, kind, hidden, layers, bidirectional):
    """States `[B, T, D]` and final states of both directions of the last layer, with PyTorch's own layer on packed texts."""
    parameters = lstm_parameters if kind is nn.LSTM else gru_parameters
    x = fill(7, 3)[TOKENS]
    inputs, final = 3, None
    for _ in range(layers):
        layer = kind(inputs, hidden, batch_first=True, bidirectional=bidirectional)
        named = {}
        for suffix in ["", "_reverse"][: 1 + bidirectional]:
            names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
            named.update({name + suffix: value.contiguous() for name, value in zip(names, parameters(fill, inputs, hidden))})
        packed = pack_padded_sequence(x, LENGTHS, batch_first=True)
        packed, state = torch.func.functional_call(layer, named, (packed,))
        x, _ = pad_packed_sequence(packed, batch_first=True)
        final = torch.cat(list(state[0] if kind is nn.LSTM else state), -1)
        inputs = hidden * (1 + bidirectional)
    return x, final


def text_mean(x):
    return (x * TEXT[..., None]).sum(1) / LENGTHS[:, None]


def next_token_loss(logits):
    losses = F.cross_entropy(logits.transpose(1, 2), NEXT, reduction="none")
    return ((losses * TEXT).sum(1) / LENGTHS).mean()


def classifier(fill, kind, last):
    states, final = recurrent(fill, kind, 4, 2, True)
    output = fill.linear(8, 3)(final if last else text_mean(states))
    return output, F.cross_entropy(output, TEXT_LABELS)


def recurrent_language_model(fill, kind):
    states, _ = recurrent(fill, kind, 4, 2, False)
    output = fill.linear(4, 7)(states)
    return output[TEXT.bool()], next_token_loss(output)


@case("rnn")
def lstm_classifier_last(fill):
    return classifier(fill, nn.LSTM, True)


@case("rnn")
def lstm_classifier_mean(fill):
    return classifier(fill, nn.LSTM, False)


@case("rnn")
def gru_classifier_last(fill):
    return classifier(fill, nn.GRU, True)


@case("rnn")
def gru_classifier_mean(fill):
    return classifier(fill, nn.GRU, False)


@case("rnn")
def lstm_language_model(fill):
    return recurrent_language_model(fill, nn.LSTM)


@case("rnn")
def gru_language_model(fill):
    return recurrent_language_model(fill, nn.GRU)


# ---- autoencoder


@case("autoencoder")
def dense_autoencoder(fill):
    x = raw(1000, ROWS, 6)
    first, second, third, fourth = fill.linear(6, 5), fill.linear(5, 2), fill.linear(2, 5), fill.linear(5, 6)
    output = torch.sigmoid(fourth(F.gelu(third(second(F.gelu(first(x)))))))
    return output, F.mse_loss(output, x)


@case("autoencoder")
def conv_autoencoder(fill):
    x = pictures(2, 8, 4)
    first, second = fill.conv(2, 3, 3, stride=2, padding=1), fill.conv(3, 4, 3, stride=2, padding=1)
    inward, outward = fill.linear(8, 3), fill.linear(3, 8)
    third, fourth = fill.conv_transpose(4, 3), fill.conv_transpose(3, 2)
    code = inward(F.relu(second(F.relu(first(x)))).flatten(1))
    output = fourth(F.relu(third(F.relu(outward(code).reshape(ROWS, 4, 2, 1)))))
    return output, F.mse_loss(output, x)


def variational(fill, likelihood):
    x = raw(1000, ROWS, 6)
    first, second, third, fourth = fill.linear(6, 5), fill.linear(5, 4), fill.linear(2, 5), fill.linear(5, 6)
    mean, log_variance = second(F.gelu(first(x))).chunk(2, 1)
    decoded = fourth(F.gelu(third(mean)))
    if likelihood == "bernoulli":
        output, nats = torch.sigmoid(decoded), F.binary_cross_entropy_with_logits(decoded, x, reduction="none").sum(1)
    else:
        output, nats = decoded, -torch.distributions.Normal(decoded, 0.5).log_prob(x).sum(1)
    codes = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    divergence = torch.distributions.kl_divergence(codes, torch.distributions.Normal(0.0, 1.0)).sum(1)
    return output, (nats + 0.7 * divergence).mean()


@case("autoencoder")
def variational_autoencoder_gaussian(fill):
    return variational(fill, "gaussian")


@case("autoencoder")
def variational_autoencoder_bernoulli(fill):
    return variational(fill, "bernoulli")


# ---- attention


def block(fill, x, width, heads, bias, mask):
    """`mask`: true where a position may be looked at, broadcast to `[B, A, T, T]`."""
    split = lambda y: y.unflatten(-1, (heads, width // heads)).transpose(1, 2)
    norm, qkv, output = fill.layer_norm(width, bias), fill.linear(width, 3 * width, bias), fill.linear(width, width, bias)
    query, key, value = map(split, qkv(norm(x)).chunk(3, -1))
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    x = x + output(mixed.transpose(1, 2).flatten(2))
    norm, expand, contract = fill.layer_norm(width, bias), fill.linear(width, 4 * width, bias), fill.linear(4 * width, width, bias)
    return x + contract(F.gelu(expand(norm(x)), approximate="tanh"))


def gpt_of(fill, bias):
    embedding, positions = fill(7, 8), fill(6, 8)
    x = embedding[TOKENS] + positions[:5]
    for _ in range(2):
        x = block(fill, x, 8, 2, bias, torch.ones(5, 5).tril().bool())
    output = fill.layer_norm(8, bias)(x) @ embedding.T
    return output[TEXT.bool()], next_token_loss(output)


@case("attention")
def gpt(fill):
    return gpt_of(fill, False)


@case("attention")
def gpt_bias(fill):
    return gpt_of(fill, True)


@case("attention")
def transformer_classifier_learned_mean(fill):
    embedding, positions = fill(7, 8), fill(6, 8)
    x = embedding[TOKENS] + positions[:5]
    for _ in range(2):
        x = block(fill, x, 8, 2, True, TEXT.bool()[:, None, None, :])
    norm, head = fill.layer_norm(8), fill.linear(8, 3)
    output = head(text_mean(norm(x)))
    return output, F.cross_entropy(output, TEXT_LABELS)


@case("attention")
def transformer_classifier_sinusoidal_class_token(fill):
    embedding, token = fill(7, 8), fill(1, 8)
    angles = torch.arange(5.0)[:, None] / 10_000 ** (torch.arange(0, 8, 2) / 8)
    x = embedding[TOKENS] + torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    x = torch.cat([token.expand(2, 1, 8), x], 1)
    mask = torch.cat([torch.ones(2, 1), TEXT], 1).bool()[:, None, None, :]
    for _ in range(2):
        x = block(fill, x, 8, 2, True, mask)
    norm, head = fill.layer_norm(8), fill.linear(8, 1)
    output = head(norm(x)[:, 0])
    return two_logits(output), F.binary_cross_entropy_with_logits(output[:, 0], torch.tensor([1.0, 0.0]))


def rounded(value):
    return [rounded(item) for item in value] if isinstance(value, list) else float(f"{value:.8g}")


for family, cases in CASES.items():
    results = {name: {key: rounded(value) for key, value in run().items()} for name, run in cases.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(result)}" for name, result in results.items())
    pathlib.Path(__file__).with_name(f"{family}.json").write_text("{\n" + lines + "\n}\n")
    print(family, ", ".join(f"{name} {result['loss']:.6f}" for name, result in results.items()))
