"""What Open-Sora-Plan's pipelines make of a prompt and a negative prompt, before tokenisation."""

from __future__ import annotations

from dataclasses import dataclass

from .captions import clean_caption, lower_caption


@dataclass(frozen=True)
class TextPipeline:
    """How the text of one released model is prepared.

    `max_tokens` counts the end token; longer prompts are truncated. `negative_rows_of_prompt`: the
    negative prompt's features have as many rows as the prompt's, with features of padding behind
    its end token or cut. `template` holds the prompt in braces, `negative` precedes the negative
    prompt.
    """

    max_tokens: int
    keep_chinese: bool
    negative_rows_of_prompt: bool = False
    template: str = "{}"
    negative: str = ""

    def prepare(self, prompt: str, negative: str, clean: bool) -> tuple[str, str]:
        """Prompt and negative prompt as the text encoder reads them; uncleaned, in lower case."""
        texts = self.template.format(prompt), f"{self.negative} {negative}"
        if clean:
            cleaned = [clean_caption(text, self.keep_chinese) for text in texts]
            return cleaned[0], cleaned[1]
        return lower_caption(texts[0]), lower_caption(texts[1])


QUALITY = "(masterpiece), (best quality), (ultra-detailed), {}."
FAULTS = (
    "nsfw, lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, fewer "
    "digits, cropped, worst quality, low quality, normal quality, jpeg artifacts, signature, "
    "watermark, username, blurry."
)
"""The texts around every prompt and negative prompt in the scripts of v1.2."""

PIPELINES = {
    "v1.1": TextPipeline(300, keep_chinese=False, negative_rows_of_prompt=True),
    "v1.1, negative at its own length": TextPipeline(300, keep_chinese=False),
    "v1.2": TextPipeline(512, keep_chinese=True),
    "v1.2 with quality words": TextPipeline(512, True, template=QUALITY, negative=FAULTS),
}
"""Pipelines by name; v1.1 is also v1.0's."""
