"""Describes an image in OME-XML (2016-06), the schema of OME-TIFF.

The library ``ome-types`` makes the same XML. It is not used here, since it adds 0.6 s to the start
of the client and 15 MB of packages; a test reads the XML with it.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from smlm_pipeline.output.facts import CHANNEL_COLOURS, NAMESPACE, ImageFacts

_OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_SCHEMA = f"{_OME} {_OME}/ome.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, as names of files may."""


def ome_xml(shape: tuple[int, ...], facts: ImageFacts, *, software: str) -> bytes:
    """Describe a float32 image, of one plane for each channel.

    Parameters
    ----------
    shape : tuple of int
        Height and width, in SR pixels.
    facts : ImageFacts
        Name, date, channel, pixel size and provenance. The provenance is in the description, as
        JSON, and in a MapAnnotation, as pairs.
    software : str
        Name and version of this program.

    Returns
    -------
    bytes
        The XML in ASCII, as TIFF's tag ImageDescription asks.
    """
    root = Element(
        "OME",
        {
            "xmlns": _OME,
            "xmlns:xsi": _INSTANCE,
            "xsi:schemaLocation": _SCHEMA,
            "Creator": software,
        },
    )
    image = _add(root, "Image", ID="Image:0", Name=facts.name or "image")
    if facts.acquired:
        _add(image, "AcquisitionDate").text = facts.acquired
    _add(image, "Description").text = _text(facts.as_json())
    _add_pixels(image, shape, facts)
    _add(image, "AnnotationRef", ID="Annotation:0")
    annotations = _add(root, "StructuredAnnotations")
    annotation = _add(annotations, "MapAnnotation", ID="Annotation:0", Namespace=NAMESPACE)
    pairs = _add(annotation, "Value")
    for name, value in facts.as_pairs():
        _add(pairs, "M", K=name).text = _text(value)
    text: bytes = ET.tostring(root, "us-ascii")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text


def _add_pixels(image: Element, shape: tuple[int, ...], facts: ImageFacts) -> None:
    height, width = shape
    edge_nm = repr(float(facts.sr_pixel_size_nm))
    pixels = _add(
        image,
        "Pixels",
        ID="Pixels:0",
        DimensionOrder="XYCZT",
        Type="float",
        SizeX=str(width),
        SizeY=str(height),
        SizeC=str(len(facts.channel_names)),
        SizeZ="1",
        SizeT="1",
        PhysicalSizeX=edge_nm,
        PhysicalSizeXUnit="nm",
        PhysicalSizeY=edge_nm,
        PhysicalSizeYUnit="nm",
    )
    for number, name in enumerate(facts.channel_names):
        colour = {"Color": _rgba(CHANNEL_COLOURS[number])} if facts.channels else {}
        place = {"ID": f"Channel:0:{number}", "Name": name, "SamplesPerPixel": "1"}
        _add(pixels, "Channel", **place, **colour)
    _add(pixels, "TiffData", IFD="0", PlaneCount=str(len(facts.channel_names)))


def _rgba(colour: tuple[int, int, int]) -> str:
    """A colour as OME has it: a signed number of 32 bits, its last byte the opacity."""
    return str(int.from_bytes(bytes((*colour, 255)), "big", signed=True))


def _add(parent: Element, name: str, **attributes: str) -> Element:
    clean = {key: _text(value) for key, value in attributes.items()}
    return ET.SubElement(parent, name, clean)


def _text(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NOT_IN_XML.sub("\ufffd", text)
