"""A text that describes music to what it asks: tags with weights, filters, what it leads away from.

Knows no library and no sound: which tags there are is given, and what comes out is plain values. In English.

In: a text as a person types it, and the tags that are known of songs. Out: an `Understood`.

Contents: `Vocabulary`, labels of heads by the names that the lexicon has for them (tags.py); `lexicon`, some 1,270
words by hand (lexicon.py, lexicon.txt); `WordVectors`, the meaning of others by their neighbours among those
(vectors.py; glove/README.md is the card); `read_filters`, numbers and bounds (bounds.py); `understand`
(understanding.py).
"""

from mirclr.words.tags import BASE_RATE, Vocabulary
from mirclr.words.understanding import LONGEST, Concept, Understood, understand

__all__ = ["BASE_RATE", "LONGEST", "Concept", "Understood", "Vocabulary", "understand"]
