# SPDX-License-Identifier: MIT
"""Images to measure with, the same in every run: a photo-like one, one with alpha, one with film grain, a flat one."""
import numpy

KINDS = ["photo", "rgba", "grain", "flat"]


def clouds(random, side, steepness):
    """Noise whose amplitude falls with frequency, from 0 to 1: what photographs are like in the large."""
    spectrum = numpy.fft.rfft2(random.standard_normal((side, side)))
    frequency = numpy.hypot(numpy.fft.fftfreq(side)[:, None], numpy.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1
    field = numpy.fft.irfft2(spectrum / frequency**steepness, s=(side, side))
    return (field - field.min()) / (field.max() - field.min())


def shapes(random, side, count):
    """Discs and boxes, each with a number of its own and the later ones smaller: edges."""
    y, x = numpy.mgrid[0:side, 0:side] / side
    field = numpy.zeros((side, side), int)
    for number in range(1, count + 1):
        cx, cy, size = random.random(3) * [1, 1, 1.2 / (4 + number / 4)]
        disc = (x - cx) ** 2 + (y - cy) ** 2 < size**2
        box = (abs(x - cx) < size) & (abs(y - cy) < size / 2)
        field[disc if number % 2 else box] = number
    return field


def photo(random, side, grain):
    light = clouds(random, side, 1.6)
    objects = shapes(random, side, 24)
    colours = 0.6 + 0.8 * random.random((25, 3))
    picture = numpy.stack([0.7 * light + 0.3 * clouds(random, side, 1.4) for _ in range(3)], axis=2)
    picture *= colours[objects]
    texture = clouds(random, side, 0.9)[:, :, None] - 0.5
    sensor = random.standard_normal((side, side, 3)) * grain
    return 30 + 170 * picture + 25 * texture * (objects % 3 == 1)[:, :, None] + sensor


def make(kind, side):
    random = numpy.random.default_rng([KINDS.index(kind), side])
    if kind == "flat":
        picture = (random.random((201, 3)) * 255)[shapes(random, side, 200)]
        picture[: side // 8] = numpy.linspace(40, 200, side)[None, :, None]
    else:
        picture = photo(random, side, 12 if kind == "grain" else 1.2)
    if kind == "rgba":
        alpha = numpy.where(shapes(random, side, 6) > 0, 255, 255 * clouds(random, side, 2.5))
        picture = numpy.dstack([picture, alpha])
    return numpy.clip(numpy.rint(picture), 0, 255).astype(numpy.uint8)


def write_pam(kind, side, path):
    picture = make(kind, side)
    depth = picture.shape[2]
    with open(path, "wb") as file:
        kind_of = "RGB_ALPHA" if depth == 4 else "RGB"
        file.write(f"P7\nWIDTH {side}\nHEIGHT {side}\nDEPTH {depth}\nMAXVAL 255\nTUPLTYPE {kind_of}\nENDHDR\n".encode())
        file.write(picture.tobytes())
    return path
