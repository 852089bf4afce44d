"""What libraries raise where they read a damaged or foreign file."""

from __future__ import annotations

import lzma
import struct
import zlib
from xml.etree.ElementTree import ParseError

DAMAGE = (  # the formats' libraries have no roots for their errors: fuzzing them raised these
    ValueError, TypeError, LookupError, ArithmeticError, AssertionError, RuntimeError, EOFError,
    AttributeError, UnboundLocalError, struct.error, zlib.error, lzma.LZMAError, ParseError,
)  # fmt: skip
