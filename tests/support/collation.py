"""A locale that sorts letters as words are sorted (`a A b B`), for a PostgreSQL that is built without ICU.

Small systems have no locale but C, and the wheel's PostgreSQL has no ICU; so a locale of our own is compiled
with glibc's `localedef` into a folder that the server is pointed to with `LOCPATH`.
"""

from __future__ import annotations

import shutil
import string
import subprocess
from pathlib import Path

# glibc looks this name up in LOCPATH; systems without glibc have a locale of that name of their own.
COLLATION = "en_US.UTF-8"

_CHARMAP = """\
<code_set_name> UTF-8
<comment_char> %
<escape_char> /
<mb_cur_min> 1
<mb_cur_max> 6
CHARMAP
<U0000>..<U007F> /x00 ASCII
END CHARMAP
"""


def compile_collation(folder: Path) -> None:
    """Compiles the locale into `folder`, where there is a `localedef` to do it."""
    localedef = shutil.which("localedef")
    if localedef is None:
        return
    folder.mkdir()
    charmap, source = folder / "charmap", folder / "source"
    charmap.write_text(_CHARMAP, encoding="ascii")
    source.write_text(_source(), encoding="ascii")
    # -c: go on over the warnings that the other categories (dates, money) are missing. It still ends with 1.
    command = [
        localedef,
        "-c",
        "--no-archive",
        "-i",
        str(source),
        "-f",
        str(charmap),
        str(folder / COLLATION),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not (folder / COLLATION / "LC_COLLATE").exists():
        raise OSError(f"localedef made no locale:\n{done.stderr}")


def _source() -> str:
    letters = [letter for lower in string.ascii_lowercase for letter in (lower, lower.upper())]
    order = [f"<U{ord(character):04X}>" for character in [*string.digits, *letters]]
    lines = ["comment_char %", "escape_char /", "LC_COLLATE", "order_start forward", *order]
    return "\n".join([*lines, "UNDEFINED", "order_end", "END LC_COLLATE", ""])
