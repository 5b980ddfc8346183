"""Names as catalogues sort them: "Smith, Patti" is Patti Smith, and "Drake, Future" are two."""

import re

# Frequent given names in the languages of catalogues, without those by which artists are known alone (Prince, Adele,
# Robyn): a list of two artists must stay one.
_NAMES = """
    aaron abdullah adam adrian agnes ahmad alan albert aldo alejandro aleksandr aleksandra alessandro alex alexander
    alexandre alexis alfred alice allan allen amadeus ana anders andre andrea andreas andrei andres andrew andrey
    andy angela anita ann anna anne annie anthony anton antonin antonio arnold arthur arturo arvo astor astrid
    barbara barry bela ben benjamin benny bernard bert bill billy bob bobby brad brian bruce bruno bryan calvin
    camille carl carlo carlos carol carole caroline catherine charles charlie chris christian christina christine
    christoph christopher chuck clara clarence claude claudio cole connie craig curtis dale dan daniel daniela danny
    dave david dean debbie dennis diana diane dieter dietrich dimitri dmitri dmitry dolly domenico don donald donna
    doris dorothy doug dusty earl eddie edgar edith eduard edvard edward edwin elena eleni elisabeth elizabeth ella
    ellen elliott elmore elvis emanuel emily emma emmanuel enrico enrique eric erik ernest ernst erroll etta eugene
    evgeny felix ferdinand fernando fiona florian francesco francis francisco francois frank franz fred freddie
    frederic friedrich fritz fryderyk gabriel gabriela gary geoff georg george georges georgia gerald gerard gerry
    giacomo gilbert gillian gioachino giovanni giuseppe glenn gloria gordon graham greg gregory guillaume gustav
    hank hans harold harry hector heinrich heinz heitor helen helene helmut henri henry herbert herbie hermann
    horace howard hugh hugo ian igor ilya ilyich ingrid irene isaac isabel ivan jack jackie jackson jacob jacques
    jake james jan jane janet janis jason javier jean jean-baptiste jean-michel jean-philippe jeff jeffrey jennifer
    jeremy jerry jessica jesus jim jimi jimmy joan joanna joaquin joe joel johan johann johannes john johnny jon
    jonathan joni jorge jose josef joseph joshua juan judith judy julia julian julie julio justin karen karin karl
    karlheinz kate katharine kathleen kathy katie keith ken kenneth kenny kevin klaus kurt larry lars laura lauren
    laurie lee lenny leonard leonardo leos leroy les leslie lester lewis linda lionel lisa liz loretta lou louis
    louise luca lucia lucinda lucy ludwig luigi luis luther maria marianne marie marilyn mark markus martha martin
    marvin mary matt matthew maurice mavis megan michael michel michelle mick mike mikhail miles miriam modest muddy
    nancy nat natalie nathan neil nelson nicholas nick nicolas nicole nikolai nils nina noel nora norah norman olga
    oliver olivier oscar otis otto pablo pamela pat patricia patrick patsy patti paul paula pauline pedro peggy
    percy peter petr phil philip philipp philippe pierre piotr pyotr quincy rachel rafael ralph randy ray raymond
    rebecca ricardo richard rick ricky rita rob robert roberta roberto robin rodney roger roland ron ronald ronnie
    rosanne roy rudolf rufus russell ruth ryan sally sam samuel sandra sandy sara sarah scott sean sebastian serge
    sergei sergey sergio sharon shawn sheryl shirley silvio simon sinead sofia stan stanley stefan stephan stephane
    stephanie stephen steve steven stevie stuart sue suzanne sven sylvia tammy ted teresa terry thelonious theodor
    thomas tim tina todd tom tomas tommy tony tracy trevor ulrich ursula valentina vanessa vera victor victoria
    viktor vincent vincenzo violeta virginia vladimir walter warren wayne werner wilhelm will william willie
    wolfgang woody wynton yehudi yuri yvonne zoltan"""
_GIVEN = frozenset(_NAMES.split())
_PARTICLES = frozenset(("van", "von", "de", "da", "di", "del", "der", "den", "la", "le", "du", "zu", "al"))
_INVERTED = re.compile(r"((?:(?:van|von|de|da|di|del|mac|o') )*[^\W\d_]['\w-]*),\s+(\w[^,;&/+()\[\]]*)")


def turned_round(name: str) -> str | None:
    """Of the folded "smith, patti" "patti smith"; None of any other text.

    Only of a surname and given names that are known as such, initials and particles ("bach, johann sebastian",
    "beethoven, ludwig van", "cale, j.j."): every other comma parts two artists.
    """
    found = _INVERTED.fullmatch(name)
    if not found or found[1] in _GIVEN:
        return None
    given = found[2].split()
    known = [word in _GIVEN for word in given]
    fit = all(k or word in _PARTICLES or _is_initials(word) for k, word in zip(known, given, strict=True))
    return f"{found[2]} {found[1]}" if fit and (known[0] or _is_initials(given[0])) else None


def _is_initials(word: str) -> bool:
    return len(word) > 1 and word.endswith(".") and all(len(part) == 1 for part in word[:-1].split("."))
