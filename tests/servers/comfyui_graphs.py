"""Workflows that need no model, and run on the real ComfyUI as on its stand-in."""

from __future__ import annotations

import json
from typing import Any

Graph = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def text_of(graph: Graph) -> str:
    """The graph as the text of a template."""
    return json.dumps(graph)


def canvas(side: int = 64, colour: int = 0x204060) -> dict[str, Any]:
    return node("EmptyImage", width=side, height=side, batch_size=1, color=colour)


def picture(prefix: str = "ComfyUI", colour: int = 0x204060) -> Graph:
    """A picture of one colour, inverted and saved."""
    return {
        "1": canvas(colour=colour),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
    }


def from_input() -> Graph:
    """The input picture, inverted and saved."""
    return {
        "1": node("LoadImage", image="{{ INPUT_IMAGE }}"),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="ComfyUI"),
    }


def text(value: str = "{{ PROMPT }}") -> Graph:
    """The prompt, shown as a text."""
    source = node("RegexReplace", string=value, regex_pattern="(?!x)x", replace="")
    return {"1": source, "2": node("PreviewAny", source=["1", 0])}


def slow(nodes: int = 50, side: int = 768) -> Graph:
    """Nodes that take a while each; it can be interrupted between any two.

    Not too many in a row: real ComfyUI then spends seconds on its cache before the first, and hears nothing.
    """
    graph = {"0": canvas(side)}
    for number in range(1, nodes + 1):
        source = [str(number - 1), 0]
        graph[str(number)] = node(
            "ImageSharpen", image=source, sharpen_radius=9, sigma=2.0 + number / 1000, alpha=1.0
        )
    graph["save"] = node("SaveImage", images=[str(nodes), 0], filename_prefix="slow")
    return graph


def failing() -> Graph:
    """A node that raises while it runs."""
    source = node("RegexReplace", string="abc", regex_pattern="(", replace="")
    return {"1": source, "2": node("PreviewAny", source=["1", 0])}


def half_valid() -> Graph:
    """Two outputs, one of which cannot be validated."""
    return {
        **picture(),
        "4": node("LoadImage", image="nowhere.png"),
        "5": node("SaveImage", images=["4", 0], filename_prefix="lost"),
    }


def animations(frames: int = 3) -> Graph:
    """Pictures of different colours, saved as animations; one frame is a still image."""
    graph = {"0": canvas(16, 0x102030)}
    for number in range(1, frames):
        graph[f"next{number}"] = canvas(16, 0x102030 + 0x30 * number)
        graph[str(number)] = node("ImageBatch", image1=[str(number - 1), 0], image2=[f"next{number}", 0])
    batch = [str(frames - 1), 0]
    graph["webp"] = node(
        "SaveAnimatedWEBP",
        images=batch,
        filename_prefix="moves",
        fps=8.0,
        lossless=True,
        quality=80,
        method="default",
    )
    graph["png"] = node("SaveAnimatedPNG", images=batch, filename_prefix="moves", fps=8.0, compress_level=1)
    return graph
