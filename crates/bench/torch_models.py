"""The models that predictions are measured of, and their inputs: those of the training steps.

CASES: a name, whose braces are the batch: the function that makes the model, and that of a batch.
"""
import torch, torch.nn as nn

torch.manual_seed(0)


class Recurrent(nn.Module):
    def __init__(self, cell, vocabulary=1000, width=128, classes=10):
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(vocabulary, width), cell(width, width, batch_first=True), nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.rnn(self.embed(x))[0][:, -1])


class Encoder(nn.Module):
    def __init__(self, vocabulary=1000, width=256, heads=8, layers=4, classes=10):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, activation="gelu", batch_first=True)
        self.layers, self.head = nn.TransformerEncoder(layer, layers), nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.layers(self.embed(x)).mean(1))


class Gpt(nn.Module):
    def __init__(self, vocabulary=65, width=128, heads=4, layers=4, context=64):
        super().__init__()
        self.embed, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, activation="gelu", batch_first=True, norm_first=True)
        self.layers, self.norm, self.head = nn.TransformerEncoder(layer, layers), nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("mask", torch.triu(torch.full((context, context), float("-inf")), 1))

    def forward(self, x):
        h = self.embed(x) + self.position(torch.arange(x.shape[1]))
        return self.head(self.norm(self.layers(h, mask=self.mask, is_causal=True)))


def mlp():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def cnn28():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))


def conv_autoencoder():
    return nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 49, 32),
                         nn.Linear(32, 64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)), nn.ConvTranspose2d(64, 32, 2, 2), nn.ReLU(), nn.ConvTranspose2d(32, 1, 2, 2))


def tokens(length, vocabulary):
    return lambda batch: (torch.arange(batch * length) % vocabulary).view(batch, length)


def pictures(batch):
    return torch.rand(batch, 1, 28, 28)


def of_imagenet(make):
    import torchvision
    return (lambda: make(torchvision.models)), lambda batch: torch.rand(batch, 3, 224, 224)


CASES = {
    "linear_regression_b{}_d100": (lambda: nn.Linear(100, 1), lambda batch: torch.rand(batch, 100)),
    "mlp_b{}": (mlp, lambda batch: torch.rand(batch, 784)),
    "cnn28_b{}": (cnn28, pictures),
    "resnet20_b{}_28": (resnet20, pictures),
    "conv_autoencoder_b{}": (conv_autoencoder, pictures),
    "lstm_b{}_t64_h128": (lambda: Recurrent(nn.LSTM), tokens(64, 1000)),
    "gru_b{}_t64_h128": (lambda: Recurrent(nn.GRU), tokens(64, 1000)),
    "encoder_b{}_t128_d256_l4": (Encoder, tokens(128, 1000)),
    "gpt_b{}_t64_d128_l4": (Gpt, tokens(64, 65)),
    "resnet18_b{}_224": of_imagenet(lambda models: models.resnet18()),
    "resnet50_b{}_224": of_imagenet(lambda models: models.resnet50()),
    "mobilenet_v2_b{}_224": of_imagenet(lambda models: models.mobilenet_v2()),
    "efficientnet_b0_b{}_224": of_imagenet(lambda models: models.efficientnet_b0()),
    "convnext_tiny_b{}_224": of_imagenet(lambda models: models.convnext_tiny()),
    "vit_s16_b{}_224": of_imagenet(lambda models: models.VisionTransformer(224, 16, 12, 6, 384, 1536)),
}


def case(asked):
    """The model of a case such as mlp_b32, ready to predict, and its batch."""
    for name, (make, batch_of) in CASES.items():
        before, after = name.split("{}")
        if asked.startswith(before) and asked.endswith(after):
            batch = asked[len(before):len(asked) - len(after)]
            if batch.isdecimal():
                return make().eval(), batch_of(int(batch))
    raise SystemExit(f"case: expected one of {', '.join(CASES)}, found {asked}")


