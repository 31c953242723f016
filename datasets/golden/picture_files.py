"""Small picture files of every format, and their pixels as Pillow has them, for the tests of `src/image/decode.rs`.

usage: python picture_files.py       needs: pip install pillow
writes picture_files.json beside itself

Pixels are set upright by their orientation and laid over a background, by `ImageOps.exif_transpose` and
`Image.alpha_composite`; grey is `convert("L")` of these. Sixteen bits are rounded to eight here, which Pillow does
not do. Files and pixels are hexadecimal.
"""

import io
import json
import pathlib

from PIL import Image, ImageOps

WIDTH, HEIGHT = 7, 5
WHITE = (255, 255, 255)


def values(count):
    return bytes((i * i * 7919 + i * 104729) // 1000 % 256 for i in range(count))


def picture(mode, channels, shift=0):
    return Image.frombytes(mode, (WIDTH, HEIGHT), values(WIDTH * HEIGHT * channels + shift)[shift:])


def file(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


colour, alpha, grey_alpha = picture("RGB", 3), picture("RGBA", 4), picture("LA", 2)
paletted = colour.quantize(16)
bits = picture("L", 1).point(lambda value: 255 * (value > 127)).convert("1")
sixteen = Image.frombytes("I;16", (WIDTH, HEIGHT), values(2 * WIDTH * HEIGHT))
frames = [picture("RGB", 3, shift) for shift in (1, 2)]

files = {
    "png rgb": file(colour, "PNG"),
    "png rgba": file(alpha, "PNG"),
    "png la": file(grey_alpha, "PNG"),
    "png paletted": file(paletted, "PNG"),
    "png paletted, transparent": file(paletted, "PNG", transparency=3),
    "png rgb, transparent": file(colour, "PNG", transparency=colour.getpixel((2, 1))),
    "png bits": file(bits, "PNG"),
    "webp lossless": file(colour, "WEBP", lossless=True),
    "webp rgba": file(alpha, "WEBP", lossless=True, exact=True),
    "webp turned": file(colour, "WEBP", lossless=True, exif=turned()),
    "webp animated": file(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:]),
    "bmp rgb": file(colour, "BMP"),
    "bmp paletted": file(paletted, "BMP"),
    "bmp bits": file(bits, "BMP"),
    "tiff rgb": file(colour, "TIFF"),
    "tiff lzw": file(colour, "TIFF", compression="tiff_lzw"),
    "tiff deflate": file(colour, "TIFF", compression="tiff_adobe_deflate"),
    "tiff packbits": file(colour, "TIFF", compression="packbits"),
    "tiff rgba": file(alpha, "TIFF"),
    "tiff cmyk": file(colour.convert("CMYK"), "TIFF"),
    "tiff bits": file(bits, "TIFF"),
    "tiff grey": file(colour.convert("L"), "TIFF"),
    "tiff turned": file(colour, "TIFF", tiffinfo={0x0112: 6}),
    "tiff paletted": file(paletted, "TIFF"),
    "gif": file(paletted, "GIF"),
    "gif transparent": file(paletted, "GIF", transparency=3),
    "gif animated": file(frames[0].quantize(16), "GIF", save_all=True, append_images=[frames[1].quantize(16)]),
    "tiff sixteen": file(sixteen, "TIFF"),
    "png sixteen": file(sixteen, "PNG"),
}


def pixels(bytes, background):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(bytes)))
    if image.mode == "I;16":
        shorts = memoryview(image.tobytes()).cast("H")
        image = Image.frombytes("L", image.size, b"".join(((value + 128) // 257).to_bytes() for value in shorts))
    if image.mode == "CMYK":
        image = image.convert("RGB")
    ground = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


results = {}
for name, bytes in files.items():
    white = pixels(bytes, WHITE)
    results[name] = {
        "file": bytes.hex(),
        "size": [white.height, white.width],
        "white": white.tobytes().hex(),
        "green": pixels(bytes, (10, 200, 90)).tobytes().hex(),
        "grey": white.convert("L").tobytes().hex(),
    }
path = pathlib.Path(__file__).parent / "picture_files.json"
path.write_text(json.dumps(results, indent=1) + "\n")
