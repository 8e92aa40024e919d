"""What all families of transformers have in common: fit, prompt and end tokens, read from what the checkpoint brings for its processor.

Knows processors of transformers; does not know what a family's vision encoder looks like.
"""

from typing import Any

from PIL import Image

from redvillm.errors import ExportError
from redvillm.export.image_llm import Processing
from redvillm.manifest import FitSpec, PromptSpec

_FILTERS = {Image.Resampling.LANCZOS: "lanczos", Image.Resampling.BILINEAR: "bilinear", Image.Resampling.BICUBIC: "bicubic"}
_QUESTION_MARK = "\x00question\x00"


def fit_of(processor: Any) -> FitSpec:
    """Return how an image processor brings one picture to the encoder's size: stretched, or scaled and cropped.

    Raises:
        ExportError: it does something else.
    """
    name = type(processor).__name__
    if processor.resample not in _FILTERS:
        raise ExportError(f"{name} resizes with filter {processor.resample!r}; known are {', '.join(_FILTERS.values())}")
    if getattr(processor, "do_pad", False):
        raise ExportError(f"{name} pads images to a square; set do_pad to false in the checkpoint's preprocessor_config.json")
    size, resampling = dict(processor.size), _FILTERS[processor.resample]
    if size.get("height") and size.get("width"):
        return FitSpec(height=size["height"], width=size["width"], fit="squash", filter=resampling)
    if size.get("shortest_edge") and processor.do_center_crop:
        crop = dict(processor.crop_size)
        return FitSpec(height=crop["height"], width=crop["width"], fit="crop", filter=resampling, shorter_side=size["shortest_edge"])
    raise ExportError(f"{name} resizes to {size}, which gives no fixed size; a height and a width, or a crop, is wanted")


def prompt_of(processing: Processing, model: Any, *, placeholder: str, opening: str = "", closing: str = "") -> PromptSpec:
    """Return the texts around one picture and a question, as the checkpoint's own chat template puts them.

    `placeholder` is what the template writes for a picture; `opening` and `closing` are what the processor puts around the tokens of a picture.

    Raises:
        ExportError: no chat template, or one that does not show picture and question once.
    """
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": _QUESTION_MARK}]}]
    try:
        text = processing.tokenizer.apply_chat_template(messages, chat_template=processing.chat_template, add_generation_prompt=True, tokenize=False)
    except Exception as error:  # a template can raise anything
        raise ExportError(
            f"the checkpoint's chat template cannot be used ({' '.join(str(error).split()):.200}); give one with a chat template for images"
        ) from error
    if text.count(placeholder) != 1 or text.count(_QUESTION_MARK) != 1:
        raise ExportError(
            f"the checkpoint's chat template does not show an image ({placeholder}) and a question once; give one with another template"
        )
    before, rest = text.split(placeholder)
    between, after = rest.split(_QUESTION_MARK)
    return PromptSpec(before=before + opening, between=closing + between, after=after, stop_token_ids=_stop_token_ids_of(processing, model))


def tokenizer_json_of(processing: Processing) -> str:
    """Return tokenizer.json.

    Raises:
        ExportError: there is no fast tokenizer.
    """
    backend = getattr(processing.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportError(f"{type(processing.tokenizer).__name__} is no fast tokenizer; give a checkpoint with tokenizer.json")
    text: str = backend.to_str()
    return text


def stop_token_ids(*settings: Any) -> tuple[int, ...]:
    """Every token that ends an answer, from generation settings, configuration and tokenizer; those that are None say nothing.

    Raises:
        ExportError: none of them names one.
    """
    found = [getattr(setting, "eos_token_id", None) for setting in settings]
    ids = {token for value in found if value is not None for token in ([value] if isinstance(value, int) else value)}
    if not ids:
        raise ExportError("neither the checkpoint nor its tokenizer says which token ends an answer (eos_token_id); add it to generation_config.json")
    return tuple(sorted(ids))


def _stop_token_ids_of(processing: Processing, model: Any) -> tuple[int, ...]:
    return stop_token_ids(getattr(model, "generation_config", None), model.config.get_text_config(), processing.tokenizer)
