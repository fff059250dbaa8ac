#!/usr/bin/env python3
"""Collects the drawings of all objects from npm packages into one file of SVG texts.

    for name in noto noto-v1 twemoji fluent-emoji-flat fluent-emoji emojione fxemoji openmoji; do
        npm pack @iconify-json/$name        # unpack each into PACKAGES/NAME
    done
    prepare_pictures.py PACKAGES pictures.json.gz

The file maps a style to the drawings of each object, in the order of objects.txt.
"""

import gzip
import json
import sys
from pathlib import Path

from objects import load_things

TRAINING_STYLES = ["noto", "noto-v1", "twemoji", "fluent-emoji-flat", "fluent-emoji", "emojione", "fxemoji"]
HELD_OUT_STYLE = "openmoji"
STYLES = [*TRAINING_STYLES, HELD_OUT_STYLE]


def svg_of(icons: dict, name: str) -> str | None:
    alias = icons.get("aliases", {}).get(name)
    icon = icons["icons"].get(alias["parent"] if alias else name)
    if icon is None:
        return None
    width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    box = f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}"'
    return f'{head} {box} width="{width}" height="{height}">{icon["body"]}</svg>'


def names_of(emoji: str, characters: dict[str, str]) -> list[str]:
    """Names under which a style may keep an emoji; styles without a table of characters use Noto's names."""
    name = characters.get(f"{ord(emoji):x}") or characters.get(f"{ord(emoji):x}-fe0f")
    if name is None:
        return []
    return [name, name + "-face", name.removesuffix("-face"), name.replace("-", "")]


def main(packages: Path, out: Path) -> None:
    noto = json.loads((packages / "noto" / "chars.json").read_text())
    drawings: dict[str, list[list[str]]] = {}
    for style in STYLES:
        icons = json.loads((packages / style / "icons.json").read_text())
        characters = json.loads((packages / style / "chars.json").read_text()) or noto
        drawings[style] = []
        for thing in load_things():
            found = (
                next((svg for name in names_of(emoji, characters) if (svg := svg_of(icons, name))), None)
                for emoji in thing.emoji
            )
            drawings[style].append([svg for svg in found if svg])
        present = sum(bool(svgs) for svgs in drawings[style])
        print(style, f"{present} objects, {sum(map(len, drawings[style]))} drawings")
    with gzip.open(out, "wt") as file:
        json.dump(drawings, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
