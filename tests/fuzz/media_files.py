"""Small media files of many containers and codecs, and structured mutations of them."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.media import draw_noise, make_clip, make_sounding_clip

SEEDS = {
    "h264.mp4": {},
    "fragmented.mp4": {"movflags": "frag_keyframe+empty_moov"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "h264.mkv": {},
    "ffv1.mkv": {"codec": "ffv1"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "h264.ts": {},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "raw.avi": {"codec": "rawvideo"},
    "picture.gif": {"codec": "gif", "pix_fmt": "rgb8", "rate": 10},
    "picture.png": {"codec": "png", "pix_fmt": "rgb24"},
    "picture.jpg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "picture.bmp": {"codec": "bmp", "pix_fmt": "bgr24"},
    "picture.webp": {"codec": "libwebp", "pix_fmt": "bgra"},
}
PICTURES = {".png", ".jpg", ".bmp", ".webp"}

EXTREMES = (0, 1, 2, 255, 4096, 16383, 65535, 2**24, 2**27, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)

# Numbers that sizes, counts and times are read from: a mark, bytes behind its start, struct format.
FIELDS = (
    (b"GIF89a", 6, "<H"),
    (b"GIF89a", 8, "<H"),
    (b"\x2c\x00\x00\x00\x00", 5, "<H"),
    (b"\x2c\x00\x00\x00\x00", 7, "<H"),
    (b"IHDR", 4, ">I"),
    (b"IHDR", 8, ">I"),
    (b"BM", 18, "<I"),
    (b"BM", 22, "<I"),
    (b"\xff\xc0", 5, ">H"),
    (b"\xff\xc0", 7, ">H"),
    (b"VP8L", 9, "<I"),
    (b"VP8 ", 14, "<H"),
    (b"VP8 ", 16, "<H"),
    (b"avc1", 28, ">H"),
    (b"avc1", 30, ">H"),
    (b"mp4v", 28, ">H"),
    (b"mp4v", 30, ">H"),
    (b"tkhd", 80, ">I"),
    (b"tkhd", 84, ">I"),
    (b"stsz", 8, ">I"),
    (b"stsz", 12, ">I"),
    (b"stts", 8, ">I"),
    (b"stts", 12, ">I"),
    (b"stts", 16, ">I"),
    (b"stsc", 8, ">I"),
    (b"stsc", 16, ">I"),
    (b"stco", 8, ">I"),
    (b"elst", 8, ">I"),
    (b"elst", 12, ">I"),
    (b"elst", 16, ">I"),
    (b"mvhd", 16, ">I"),
    (b"mvhd", 20, ">I"),
    (b"mdhd", 16, ">I"),
    (b"mdhd", 20, ">I"),
    (b"trun", 8, ">I"),
    (b"trex", 12, ">I"),
    (b"trex", 16, ">I"),
    (b"tfdt", 8, ">Q"),
    (b"avih", 8, "<I"),
    (b"avih", 40, "<I"),
    (b"avih", 44, "<I"),
    (b"strh", 28, "<I"),
    (b"strh", 32, "<I"),
    (b"strh", 40, "<I"),
    (b"strf", 12, "<I"),
    (b"strf", 16, "<I"),
    (b"\xb0\x81", 2, ">B"),  # Matroska: the picture's width, in one byte and in two
    (b"\xba\x81", 2, ">B"),
    (b"\xb0\x82", 2, ">H"),
    (b"\xba\x82", 2, ">H"),
    (b"\x2a\xd7\xb1", 4, ">B"),  # nanoseconds of a timestamp's unit
    (b"\x44\x89\x88", 3, ">Q"),  # duration
    (b"\xe7\x81", 2, ">B"),  # a cluster's time
    (b"\x00\x00\x01\xb3", 4, ">I"),  # MPEG-2: 12 bits of width, 12 of height
    (b"\x00\x00\x01\xe0", 9, ">I"),  # a time of presentation
)


def make_seeds(folder: Path) -> dict[str, bytes]:
    """One file of each kind, three frames of noise or one; with sound where the last ones say."""
    contents = {}
    for name, options in SEEDS.items():
        path = folder / name
        frames = 1 if path.suffix in PICTURES else 3
        make_clip(path, draw_noise(frames), **options)
        contents[name] = path.read_bytes()
    for name, audio in (("sound.mp4", "aac"), ("sound.mkv", "libopus")):
        path = make_sounding_clip(folder / name, audio=audio, seconds=1)
        contents[name] = path.read_bytes()
    return contents


def cut_short(data: bytearray, random: Random) -> bytearray:
    return data[: random.randrange(1, len(data))]


def flip_header_bits(data: bytearray, random: Random) -> bytearray:
    return flip_bits(data, random, min(len(data), 1024))


def flip_any_bits(data: bytearray, random: Random) -> bytearray:
    return flip_bits(data, random, len(data))


def flip_bits(data: bytearray, random: Random, length: int) -> bytearray:
    for _ in range(random.choice((1, 2, 8, 32))):
        data[random.randrange(length)] ^= 1 << random.randrange(8)
    return data


def set_fields(data: bytearray, random: Random) -> bytearray:
    """Give sizes, counts and times extreme values."""
    found = [field for field in FIELDS if field[0] in data]
    for mark, offset, form in random.sample(found, min(len(found), random.choice((1, 2, 4)))):
        write_number(data, data.find(mark) + offset, form, random)
    return mend_png(data)


def set_any_number(data: bytearray, random: Random) -> bytearray:
    form = random.choice((">H", "<H", ">I", "<I", ">Q", "<Q"))
    write_number(data, random.randrange(min(len(data), 2048)), form, random)
    return data


def write_number(data: bytearray, place: int, form: str, random: Random) -> None:
    size = struct.calcsize(form)
    if place + size <= len(data):
        value = random.choice(EXTREMES) % (1 << 8 * size)
        struct.pack_into(form, data, place, value)


def mend_png(data: bytearray) -> bytearray:
    """Make a changed header's checksum right, or the decoder looks no further."""
    header = data.find(b"IHDR")
    if 0 <= header <= len(data) - 21:
        struct.pack_into(">I", data, header + 17, zlib.crc32(data[header : header + 17]))
    return data


def drop_piece(data: bytearray, random: Random) -> bytearray:
    start = random.randrange(len(data))
    del data[start : start + random.choice((1, 4, 64, 1024))]
    return data or bytearray(b"\0")


def repeat_piece(data: bytearray, random: Random) -> bytearray:
    start = random.randrange(len(data))
    piece = data[start : start + random.choice((4, 64, 1024))]
    return data[:start] + piece * random.choice((1, 3, 30)) + data[start:]


def blank_piece(data: bytearray, random: Random) -> bytearray:
    start = random.randrange(len(data))
    end = min(len(data), start + random.choice((16, 256, 4096)))
    data[start:end] = bytes([random.choice((0, 255))]) * (end - start)
    return data


Mutator = Callable[[bytearray, Random], bytearray]
MUTATORS: tuple[Mutator, ...] = (
    cut_short,
    flip_header_bits,
    flip_any_bits,
    set_fields,
    set_fields,
    set_fields,
    set_any_number,
    drop_piece,
    repeat_piece,
    blank_piece,
)


def mutate(data: bytes, random: Random) -> tuple[str, bytes]:
    """A mutation of one or two steps, and their names."""
    steps = [random.choice(MUTATORS) for _ in range(random.choice((1, 1, 2)))]
    changed = bytearray(data)
    for step in steps:
        changed = step(changed, random)
    return "+".join(step.__name__ for step in steps), bytes(changed)
