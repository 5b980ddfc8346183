"""Notes that basic-pitch finds, with its defaults: ``python rival_transcribers.py FILE…``, in a Python that has it.

It knows nothing of mirclr. The last line printed is JSON: the notes of each file, and the seconds of all together, the
first file being read once before.
"""

import json
import sys
import time
import warnings


def main(files: list[str]) -> None:
    warnings.simplefilter("ignore")
    from basic_pitch import ICASSP_2022_MODEL_PATH
    from basic_pitch.inference import Model, predict

    model = Model(ICASSP_2022_MODEL_PATH)
    predict(files[0], model)
    start, found = time.perf_counter(), []
    for file in files:
        events = predict(file, model)[2]
        found.append([[float(onset), float(offset), int(pitch)] for onset, offset, pitch, *_ in sorted(events)])
    print()
    print(json.dumps({"seconds": time.perf_counter() - start, "notes": found}))


if __name__ == "__main__":
    main(sys.argv[1:])
