"""Any text as LaTeX that compiles and prints as itself, in ASCII, with every engine."""

from __future__ import annotations

import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # Named commands for these two exist in some font encodings only.
    '"': r"\char34{}",
    "`": r"{}\char96{}",  # as it is, ?` and !` would print as turned marks
    "'": r"{'}",
    # At the start of a row these would be arguments of the \\ before it.
    "[": r"{[}",
    "]": r"{]}",
    "*": r"{*}",
    "±": r"$\pm$",
    "−": r"$-$",
    "≠": r"$\neq$",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "µ": r"$\mu$",
    "–": r"\textendash{}",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}


def latex_text(text: str) -> str:
    """`text` for LaTeX's text mode: balanced braces, one line, runs of white space as one space.

    Accented Latin letters become accent commands; any other character outside ASCII becomes its
    code point, `[U+4E2D]`: a name that cannot be printed stays told apart from another one.
    """
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    escaped = "".join(_character(character) for character in plain)
    for pair in ("--", ",,"):  # would print as a dash and as a quotation mark
        escaped = escaped.replace(pair, "{}".join(pair)).replace(pair, "{}".join(pair))
    return escaped


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if " " <= character <= "~":
        return character
    letters = unicodedata.normalize("NFD", character)
    if len(letters) == 2 and letters[0].isascii() and letters[0].isalpha():
        accent = _ACCENTS.get(letters[1])
        if accent is not None:
            return rf"\{accent}{{{letters[0]}}}"
    return f"{{[}}U+{ord(character):04X}{{]}}"
