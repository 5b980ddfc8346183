#!/bin/sh
# What people want of mirclr, each by one command, on made-up music. Prints a line for each goal; the exit code is 1
# when one is not reached. Run by `make goals` and by tests/test_goals.py; needs nothing but an installed mirclr:
#
#     MIRCLR=mirclr PYTHON=python3 tests/goals.sh
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
PYTHON=${PYTHON:-python3}
MIRCLR=${MIRCLR:-mirclr}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset MIRCLR_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME
HOME=$work/home MIRCLR_HOME=$work/home/data
export HOME MIRCLR_HOME
mkdir -p "$HOME" && cd "$work" || exit 1
failed=0

# goal WHAT COMMAND…: run the one command; what it prints is kept for `shows` and `lacks`
goal() {
    goal=$1
    shift
    reached=yes
    "$@" >out 2>err </dev/null
    code=$?
    [ "$code" = 0 ] || miss "exit code $code: $*"
    cat out err >said
}

# miss WHY: the goal is not reached
miss() {
    [ "$reached" = no ] || { printf 'not reached: %s\n' "$goal"; failed=$((failed + 1)); }
    reached=no
    printf '    %s\n' "$1"
    sed 's/^/    | /' out err | head -20
}

# shows TEXT…, lacks TEXT…: of what the last command printed
shows() {
    for text; do grep -qiF -- "$text" said || miss "is not shown: $text"; done
}
lacks() {
    for text; do ! grep -qiF -- "$text" said || miss "is shown: $text"; done
}
# check WHAT COMMAND…: something that holds afterwards
check() {
    what=$1
    shift
    "$@" >/dev/null 2>&1 || miss "$what"
}
# differs A B, none A: for `check`
differs() { [ "$1" != "$2" ]; }
none() { [ -z "$1" ]; }
done_() { [ "$reached" = no ] || printf 'reached: %s\n' "$goal"; }

mirclr() { $MIRCLR "$@"; }
python() { PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} $PYTHON -c "$1"; }

python 'from pathlib import Path; from tests.made_up_music import make_music; make_music(Path("music"))' || exit 1
printf '+ Night Trains - Road\n+ Nobody - Unheard\n' >likes.txt
printf '+ Velvet Hammer - Loud\n+ Somebody - Unheard Too\n' >more-likes.txt

goal "my own music is heard and asked for by the demo" mirclr demo --music music
shows "songs" "mirclr recommend"
done_

goal "and is my library from then on" mirclr recommend "Night Trains" -n 3
shows "Velvet Hammer"
done_

goal "a party playlist without Christmas" mirclr recommend --mood party --exclude path:Christmas -o party.m3u8
lacks "Silent Bells" "Frost"
check "the playlist is written" grep -q music party.m3u8
check "no Christmas song is in it" none "$(grep -v '^#' party.m3u8 | grep Christmas)"
done_

goal "only 1990s rock of at most 140 bpm" mirclr recommend --genre rock --year 1990s --bpm ..140
shows "Night Trains"
lacks "DJ Kobalt" "Simon" "Choir"
done_

goal "a playlist of five minutes" mirclr recommend "Velvet Hammer" --length 5m --fill yes --json
check "it takes about that" python '
import json
seconds = sum(song["duration_s"] for song in json.load(open("out"))["recommendations"])
assert 200 <= seconds <= 330, seconds'
done_

goal "that playlist on a stick" mirclr playlist copy party.m3u8 stick
check "as many songs as the list has" test "$(find stick -type f ! -name '*.m3u*' | wc -l)" -eq "$(grep -cv '^#' party.m3u8)"
check "numbered" test -n "$(find stick -name '01 *')"
done_

goal "what I played counts" mirclr profile import anna likes.txt
done_
goal "a second list of what I like is added" mirclr profile import anna more-likes.txt
done_
goal "the songs of my history that I lack" mirclr profile show anna --missing
shows "Unheard" "Unheard Too"
lacks "Road"
done_

goal "my own genre tags are learned" mirclr classify train --from-tags --min-songs 2
shows "rock"
done_

goal "never this artist again" mirclr block add "artist:DJ Kobalt"
done_
mv music moved
goal "the folder has moved" mirclr sync moved
lacks "2 songs removed"
done_
goal "and what I said of it holds" mirclr recommend Pulse -n 20
lacks "DJ Kobalt"
shows "Ferry"
done_

cp -r moved copied
goal "genre into the files' tags, first looked at" mirclr tag write --dry-run
done_
goal "tags are written" mirclr tag write --fields mood --threshold 0.1 --yes
check "something was written" differs "$(find moved -type f -exec cksum {} + | sort)" "$(cd copied && find . -type f -exec cksum {} + | sort)"
done_
goal "and taken back, to the byte" mirclr tag undo
check "the files are as they were" diff -r moved copied
done_

goal "without a word" mirclr sync moved --quiet
check "nothing is printed" none "$(cat out err)"
done_
goal "my own defaults" mirclr config set recommend.artist-cap 1
done_
goal "they hold" mirclr recommend --genre rock --json
check "one song of an artist" python '
import json
from collections import Counter
songs = json.load(open("out"))["recommendations"]
assert songs and max(Counter(song["artist"] for song in songs).values()) == 1'
done_
goal "the tab key completes" mirclr completion bash
check "bash takes the script" sh -c 'command -v bash >/dev/null || exit 0; bash -n out'
done_
goal "where my data lies" mirclr library info
shows "$MIRCLR_HOME"
done_
goal "the same from Python" python '
import mirclr
with mirclr.Library.open("own.db", create=True) as library:
    library.embed(["moved/Night Trains"])
    print([song.track.title for song in library.recommend("Road", n=2)])'
shows "Rust"
done_

goal "help where I look for it" mirclr help recommend
shows "Example: mirclr recommend"
done_

goal "delete everything" mirclr library delete --yes
check "no library is left" none "$(find "$MIRCLR_HOME" -name 'library*' 2>/dev/null)"
check "the music is as it was" diff -r moved copied
done_

[ "$failed" = 0 ] && echo "all goals are reached" && exit 0
echo "$failed not reached"
exit 1
