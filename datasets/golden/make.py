"""Small pictures after Pillow's and torchvision's operations, for the tests of `src/image/transform`.

usage: python make.py       needs: pip install pillow torchvision
writes pictures.json beside itself

Nothing is drawn: value number i of a picture of H x W pixels, row by row and three values a pixel, is
    (i * i * 7919 + i * 104729) // 1000 mod 251, halved where its row is odd
Results are hexadecimal.
"""

import json
import math
import pathlib

import torchvision.transforms.functional as F
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode


def picture(height, width):
    values = [
        (i * i * 7919 + i * 104729) // 1000 % 251 // (1 + i // (3 * width) % 2) for i in range(height * width * 3)
    ]
    return Image.frombytes("RGB", (width, height), bytes(values))


def affine(image, translate=(0, 0), shear=(0.0, 0.0)):
    options = dict(angle=0.0, scale=1.0, interpolation=InterpolationMode.NEAREST, center=[0, 0])
    degrees = [math.degrees(math.atan(by)) for by in shear]
    return F.affine(image, translate=list(translate), shear=degrees, **options)


small = picture(11, 14)
operations = {
    "shear_x": affine(small, shear=(0.3, 0.0)),
    "shear_y": affine(small, shear=(0.0, -0.3)),
    "translate_x": affine(small, translate=(3, 0)),
    "translate_y": affine(small, translate=(0, -4)),
    "rotate": F.rotate(small, 27.0),
    "brightness": F.adjust_brightness(small, 1.4),
    "contrast": F.adjust_contrast(small, 0.45),
    "saturation": F.adjust_saturation(small, 1.7),
    "hue": F.adjust_hue(small, -0.2),
    "sharpness": F.adjust_sharpness(small, 1.8),
    "posterize": F.posterize(small, 3),
    "solarize": F.solarize(small, 100),
    "auto_contrast": F.autocontrast(small),
    "equalize": ImageOps.equalize(small),
}
large = picture(47, 61)
sizes = {"bilinear": (13, 17), "bicubic": (13, 17), "bicubic_larger": (60, 70), "bicubic_short": (32, 32)}
resized = {}
for name, (height, width) in sizes.items():
    mode = Image.Resampling.BILINEAR if name == "bilinear" else Image.Resampling.BICUBIC
    if name == "bicubic_short":
        image = F.center_crop(F.resize(large, 40, InterpolationMode.BICUBIC), [height, width])
    else:
        image = large.resize((width, height), mode)
    resized[name] = image

results = {name: image.tobytes().hex() for name, image in {**operations, **resized}.items()}
path = pathlib.Path(__file__).parent / "pictures.json"
path.write_text(json.dumps(results, indent=1) + "\n")
