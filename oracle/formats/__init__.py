"""Formats of meter records: bytes in, records with a verdict and exact readings out.

A format is a module with `NAME`, `recognises(data)`, which is cheap and goes by content, and `parse(data,
key)`, which raises `BadFormat` only for what is not of it at all.
"""

from __future__ import annotations

from types import ModuleType

from oracle.formats import (
    dsmr,
    edl40,
    emh,
    espi,
    homewizard,
    iec62056,
    intervals,
    mennekes,
    nem12,
    ocmf,
    pcdf,
    safe,
    sml,
)

FORMATS: tuple[ModuleType, ...] = (
    ocmf,
    pcdf,
    safe,
    mennekes,
    emh,
    edl40,  # before sml: its frames are SML's
    sml,
    dsmr,
    iec62056,
    espi,
    nem12,
    intervals,
    homewizard,
)
"""In the order in which they are asked; each of these recognises nothing that another does."""
