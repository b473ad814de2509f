"""Blocks with texts and images for the model: ``text``, ``image``, ``document``, ``search_result``.

Files that would have to be fetched or read by a program (URLs, stored files, PDF) are refused: the
reply would be wrong without them. Does not know where a block may appear.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator

from server.api.anthropic.fields import CacheControl, Unused, validation_error
from server.api.body import StrictModel


class TextBlock(StrictModel):
    """Text block. `citations` are those of an earlier answer."""

    type: Literal["text"]
    text: str
    cache_control: CacheControl = None
    citations: Unused = None


class Base64Source(StrictModel):
    """Source of an image that is part of the request."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


def _check_base64(source: Any) -> Any:
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "url":
        raise validation_error("this server fetches no URLs; send the image as base64")
    if kind == "file":
        raise validation_error("this server stores no files; send the image as base64")
    return source


class ImageBlock(StrictModel):
    """Image block."""

    type: Literal["image"]
    source: Annotated[Base64Source, BeforeValidator(_check_base64)]
    cache_control: CacheControl = None
    transformations: Unused = None


def to_blocks(content: Any) -> Any:
    """Return `content`, with a string as one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class PlainTextSource(StrictModel):
    """Source of a document that is a text."""

    type: Literal["text"]
    media_type: str | None = None
    data: str


def _read_part(value: Any) -> StrictModel:
    is_image = isinstance(value, dict) and value.get("type") == "image"
    return (ImageBlock if is_image else TextBlock).model_validate(value)


_Part = TextBlock | ImageBlock


class ContentSource(StrictModel):
    """Source of a document that consists of blocks."""

    type: Literal["content"]
    content: Annotated[
        list[Annotated[_Part, PlainValidator(_read_part, _Part)]],
        BeforeValidator(to_blocks, str | list[_Part]),
    ]


_WHY_NOT = {
    "base64": "no PDF is read here",
    "url": "this server fetches no URLs",
    "file": "this server stores no files",
}


def _read_source(source: Any) -> StrictModel:
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "text":
        return PlainTextSource.model_validate(source)
    if kind == "content":
        return ContentSource.model_validate(source)
    why = _WHY_NOT.get(str(kind), "documents have a source of type text or content")
    raise validation_error(f'{why}; send the text: {{"type": "text", "data": …}}')


_Source = PlainTextSource | ContentSource


class DocumentBlock(StrictModel):
    """Document whose text the model reads."""

    type: Literal["document"]
    source: Annotated[_Source, PlainValidator(_read_source, _Source)]
    title: str | None = None
    context: str | None = None
    citations: dict[str, Any] | None = None
    cache_control: CacheControl = None

    @property
    def parts(self) -> list[TextBlock | ImageBlock]:
        """The document as texts and images, between tags that name it."""
        source = self.source
        inner: Sequence[TextBlock | ImageBlock] = (
            source.content
            if isinstance(source, ContentSource)
            else [TextBlock(type="text", text=source.data)]
        )
        head = {"title": self.title, "context": self.context}
        return _with_tags("document", head, inner)


class SearchResultBlock(StrictModel):
    """Result of a search that the client made."""

    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]
    citations: dict[str, Any] | None = None
    cache_control: CacheControl = None

    @property
    def parts(self) -> list[TextBlock | ImageBlock]:
        """The result as texts, between tags that name it."""
        head = {"source": self.source, "title": self.title}
        return _with_tags("search_result", head, self.content)


def _with_tags(
    tag: str, head: Mapping[str, str | None], inner: Sequence[TextBlock | ImageBlock]
) -> list[TextBlock | ImageBlock]:
    lines = [f"<{name}>{value}</{name}>" for name, value in head.items() if value]
    start = "\n".join([f"<{tag}>", *lines])
    return [
        TextBlock(type="text", text=start),
        *inner,
        TextBlock(type="text", text=f"</{tag}>"),
    ]
