"""Loads pickles with CPython itself, and tells what they import. Reads a line of hexadecimal digits for each file, and answers
each with a line of JSON: for each of CPython's readers, for each pickle that it reads one after another from the file, the
imports that it makes, whether it ends well, and how many calls it makes. Nothing is really imported."""
import copyreg, io, itertools, json, pickle, resource, sys

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
for code in (1, 300, 70_000):
    copyreg.add_extension("posix", f"extension{code}", code)
calls = 0


class Harmless:
    def __new__(cls, *args, **kwargs):
        global calls
        calls += 1
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return Harmless()

    def __setstate__(self, state):
        global calls
        calls += 1

    def __setitem__(self, key, value):
        pass

    append = extend = add = update = __setitem__


def text(*args):
    global calls
    calls += 1
    return "made"


def unpickler(base):
    class Recording(base):
        def find_class(self, module, name):
            self.imports.append([module, name])
            return text if (module, name) in (("_codecs", "encode"), ("builtins", "str")) else Harmless

        def persistent_load(self, pid):
            return "persistent"

    return Recording


READERS = [
    (unpickler(pickle._Unpickler), io.BytesIO),
    (unpickler(pickle.Unpickler), io.BytesIO),
    (unpickler(pickle.Unpickler), lambda data: io.BufferedReader(io.BytesIO(data))),
]


def load(reader, opened):
    global calls
    calls = 0
    copyreg._extension_cache.clear()
    one = reader(opened, encoding="utf-8", buffers=itertools.repeat(b"buffer"))
    one.imports = []
    try:
        one.load()
        ended = True
    except Exception:
        ended = False
    return {"imports": one.imports, "ended": ended, "calls": calls}


for line in sys.stdin:
    answer = []
    for reader, open_bytes in READERS:
        opened, loads = open_bytes(bytes.fromhex(line)), []
        while not loads or (loads[-1]["ended"] and len(loads) < 5):
            loads.append(load(reader, opened))
        answer.append(loads)
    print(json.dumps(answer), flush=True)
