#!/usr/bin/env python3
"""Writes specs/openapi.yaml as JSON into openapi_json.h and openapi_json.cc: embed_openapi.py DOCUMENT FOLDER."""

import json
import pathlib
import sys

try:
    import yaml
except ImportError:
    sys.exit("embed_openapi.py needs PyYAML: apt install python3-yaml")

HEADER = """#pragma once

#include <string_view>

namespace prunella {

/// specs/openapi.yaml as JSON, made when building.
extern const std::string_view kOpenapiJson;

}  // namespace prunella
"""


def numbers(data: bytes) -> str:
    """The bytes as initialisers: a string literal of this length is beyond what C++ guarantees."""
    lines = []
    for start in range(0, len(data), 32):
        lines.append(",".join(str(byte) for byte in data[start : start + 32]))
    return ",\n".join(lines)


def main() -> None:
    document, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    value = yaml.safe_load(document.read_text(encoding="utf-8"))
    # ASCII only, so that each byte fits a char whatever its sign.
    data = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openapi_json.h").write_text(HEADER, encoding="utf-8")
    (folder / "openapi_json.cc").write_text(
        '#include "openapi_json.h"\n\nnamespace prunella {\n\nnamespace {\n\n'
        f"constexpr char kBytes[] = {{\n{numbers(data)}}};\n\n}}  // namespace\n\n"
        "const std::string_view kOpenapiJson(kBytes, sizeof kBytes);\n\n}  // namespace prunella\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
