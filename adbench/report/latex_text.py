"""Any text as LaTeX that compiles and prints as itself, in ASCII, with every engine."""

from __future__ import annotations

import unicodedata

_SPECIAL = {
    character: form.replace("?", name)
    for form, characters, names in (
        (r"\?", "{}$&#%_", "{ } $ & # % _"),
        ("{?}", "'[]*", "' [ ] *"),  # [ and * after a \\ would be its arguments
        (r"\text?{}", r"\^~<>|–", "backslash asciicircum asciitilde less greater bar endash"),
        (r"$\?$", "±≠·×µ", "pm neq cdot times mu"),
        ("$?$", "−", "-"),
        (r"\?{}", "ßøØæÆœŒłŁ", "ss o O ae AE oe OE l L"),
        # Named commands for these two exist in some font encodings only; the backtick as it is
        # would make turned marks of ?` and !`.
        (r"\char?{}", '"', "34"),
        (r"{}\char?{}", "`", "96"),
    )
    for character, name in zip(characters, names.split(), strict=True)
}
_COMBINING = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"
_ACCENTS = dict(zip(_COMBINING, "`'^~=u.\"rHvc", strict=True))


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
    if character in _SPECIAL or " " <= character <= "~":
        return _SPECIAL.get(character, character)
    letters = unicodedata.normalize("NFD", character)
    if len(letters) == 2 and letters[0].isascii() and letters[0].isalpha():
        if letters[1] in _ACCENTS:
            return rf"\{_ACCENTS[letters[1]]}{{{letters[0]}}}"
    return f"{{[}}U+{ord(character):04X}{{]}}"
