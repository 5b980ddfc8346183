"""Small words of English: what negates, what makes stronger or weaker, what says nothing; endings of words."""


def _several(words: str) -> frozenset[str]:
    return frozenset(words.split())


NEGATORS = _several(
    "no not without non never nothing none neither nor minus except excluding exclude avoid avoiding hate isn't aren't "
    "don't doesn't won't lacks lacking cannot can't isnt arent dont doesnt wont cant skip zero sans hardly barely "
    "scarcely nobody"
)
STRONGER = _several("very really extremely super so highly totally mostly mainly quite truly deeply lots")
WEAKER = _several("bit slightly somewhat little rather fairly slight touch hint kinda kind sort maybe")
EMPTY = _several(
    "a an the of for to in on at with and or but that which is are be it its it's this these those my me i i'm we you "
    "pls thanks "
    "am your some any all something anything everything song songs music track tracks tune tunes piece pieces playlist "
    "list mix sound sounds sounding sounded like feel feels feeling feelings vibe vibes mood moods kind style styles "
    "type genre please play find give want wanted need looking search listen listening from by as into when while "
    "where can could would should will has have having get gets make makes made let just also still then than "
    "even ever only too much many few plenty full good great nice best favourite favorite perfect ideal suitable "
    "while during after before through one two time times day days there here tempo speed pace bpm key era year years "
    "old new played playing plays way stuff things thing during about around based oriented focused driven do does "
    "exactly else ones instead s t o h well most lot up out over under off onto across upon until since within per via "
    "friends people &"
)
UNKNOWN = _several(
    "newer older longer shorter recent latest newest oldest popular famous unknown unheard later earlier last next "
    "century ago"
)
"""Words whose neighbours would mislead: nothing that is known of songs says so."""
FORMS = {
    "ier": ("y",),
    "iest": ("y",),
    "er": ("", "e"),
    "est": ("", "e"),
    "ies": ("y",),
    "es": ("", "e"),
    "s": ("",),
    "ingly": ("ing", "", "e"),
    "ing": ("", "e"),
    "iness": ("y",),
    "ness": ("",),
    "ily": ("y",),
    "ly": ("",),
    "ed": ("", "e"),
    "ish": ("", "e"),
    "y": ("",),
}
"""Endings of forms of a word, and what the word has in their place."""
SOUNDS = _several(
    "guitar piano strings drums beat violin cello harp harpsichord flute sitar synth choir "
    "choral vocals instrumental solo"
) | {"female vocals", "male vocals"}
MOODS = _several(
    "happy sad calm mellow chill party sexy beautiful catchy energetic aggressive dreamy weird positive fast slow "
    "loud quiet soft danceable"
)
