"""Prompts as Open-Sora-Plan's pipelines clean them before the text encoder reads them."""

from __future__ import annotations

import html
import re
import warnings

PASSES = 2
"""The authors' pipelines clean a prompt this many times in a row."""

SUFFIXES = "png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4"
DOMAINS = "com|co|ru|net|org|edu|gov|it"
DASHES = (
    r"\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40"
    r"\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d"
)
ENCODED = re.compile("(?:%[0-9a-fA-F]{2})+")
SEPARATORS = re.compile("[-_]")
MOST_SEPARATORS = 3
"""A prompt with more hyphens and underscores than this has them replaced by spaces."""

Rules = tuple[tuple[re.Pattern[str], str], ...]


def rules(*pairs: tuple[str, str]) -> Rules:
    """Patterns, compiled, and what replaces them."""
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


ADDRESSES = rules(
    (r"<person>", "person"),
    (rf"\bhttps?:(?:/{{1,3}}|[a-z0-9%])|\b[a-z0-9.\-]+\.(?:{DOMAINS})[\w/-]*\b/?(?!@)", ""),
    (r"\bwww:(?:/{1,3}|[a-z0-9%])", ""),
)
NAMES = rules((r"@[\w\d]+\b", ""))
CHINESE = rules((r"[\u31c0-\u33ff\u3400-\u9fff]+", ""))
"""CJK strokes, enclosed and compatible forms, hexagrams and ideographs; kana are not among them."""

SIGNS = rules(
    (f"[{DASHES}]+", "-"),
    ("[`\u00b4\u00ab\u00bb\u201c\u201d\u00a8]", '"'),
    ("[\u2018\u2019]", "'"),
    (r"&quot;?|&amp", ""),
)
NUMBERS = rules(
    (r"\d{1,3}(?:\.\d{1,3}){3}", " "),  # an IP address
    (r"\d:\d\d\s+$", ""),  # the time of an article
    (r"\\n", " "),
    (r"#(?:\d{1,3}|\d{5,})\b|\b\d{6,}\b", ""),
    (rf"\S+\.(?:{SUFFIXES})", ""),
)
PUNCTUATION = rules(
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (
        r"[#\u00ae\u2022\u00a9\u2122&@\u00b7\u00ba\u00bd\u00be\u00bf\u00a1\u00a7~()\[\]{}|\\/*]+",
        " ",
    ),
    (r"\s+\.\s+", " "),
)
CODES = rules(
    (r"\b[a-z]{1,3}\d{3,15}\b", ""),
    (r"\b[a-z]+\d+[a-z]+\b", ""),
    (r"\b\d+[a-z]+\d+\b", ""),
)
ADVERTS = rules(
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
    (r"(?:free\s)?download(?:\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b(?:{SUFFIXES})(?:\simages?)?", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-z]+\d+[a-z]+\d+[a-z\d]*\b", " "),
    (r"\b\d+\.?\d*[x\u0445\u00d7]\d+\.?\d*\b", ""),  # a size, 12x34
)
SPACES = rules(
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
)
ENDS = rules(
    (r"""^["'](.+)["']$""", r"\1"),
    (r"^['_,\-:;]", ""),
    (r"['_,\-:+]$", ""),
    (r"^\.\S+$", ""),
)


def clean_caption(caption: str, keep_chinese: bool) -> str:
    """The caption as the pipelines of Open-Sora-Plan v1.1 and, with `keep_chinese`, v1.2 clean it.

    Lower case, without addresses, markup, numbers and file names; parentheses, slashes and most
    other signs become spaces. Raises `ImportError` without ftfy or beautifulsoup4.
    """
    check_packages()
    for _ in range(PASSES):
        caption = clean_once(caption, keep_chinese)
    return caption


def check_packages() -> None:
    """Raise `ImportError` where a package that cleaning needs is missing."""
    try:
        import bs4  # noqa: F401
        import ftfy  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"cleaning a prompt as its authors do needs {error.name}: pip install ftfy "
            "beautifulsoup4, or choose no cleaning, which changes what the model reads"
        ) from error


def lower_caption(caption: str) -> str:
    """The caption in lower case and nothing else: what the pipelines do without cleaning."""
    return caption.lower().strip()


def clean_once(caption: str, keep_chinese: bool) -> str:
    text = decode_address(caption).strip().lower()
    text = remove_markup(replace(text, ADDRESSES))
    text = replace(text, NAMES)
    text = text if keep_chinese else replace(text, CHINESE)
    text = replace(text, SIGNS + NUMBERS + PUNCTUATION)
    if len(SEPARATORS.findall(text)) > MOST_SEPARATORS:
        text = SEPARATORS.sub(" ", text)
    text = replace(repair_encoding(text), CODES + ADVERTS + SPACES)
    return replace(text, ENDS).strip()


def decode_address(text: str) -> str:
    """Plus signs as spaces, and bytes such as %20 decoded, as in the query of a web address."""
    return ENCODED.sub(
        lambda found: bytes.fromhex(found[0].replace("%", "")).decode(errors="replace"),
        text.replace("+", " "),
    )


def replace(text: str, table: Rules) -> str:
    """Apply a table of rules in its order."""
    for pattern, replacement in table:
        text = pattern.sub(replacement, text)
    return text


def remove_markup(text: str) -> str:
    """The text of a fragment of HTML."""
    from bs4 import BeautifulSoup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts that look like a file's name or an address
        return BeautifulSoup(text, features="html.parser").text


def repair_encoding(text: str) -> str:
    """The text with wrongly decoded characters repaired and HTML's entities resolved."""
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text)))
