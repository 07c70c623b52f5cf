# `python reach.py <file of edges>`: holds them in a table of SQLite in memory, by the node that is needed, and answers each line
# that it reads with how many nodes need node 0, also through others, and the milliseconds that this took. Says first `ready`,
# with SQLite's version and the milliseconds that filling the table took.
import array
import sqlite3
import sys
import time

EDGES, REACH = (
    "CREATE TABLE edges (needed INTEGER, needer INTEGER, PRIMARY KEY (needed, needer)) WITHOUT ROWID",
    "WITH RECURSIVE reached (node) AS (VALUES (0) UNION SELECT needer FROM edges JOIN reached ON needed = node)"
    " SELECT node FROM reached",
)

pairs = array.array("i")
with open(sys.argv[1], "rb") as file:
    pairs.frombytes(file.read())
started = time.perf_counter()
database = sqlite3.connect(":memory:")
database.execute(EDGES)
database.executemany("INSERT OR IGNORE INTO edges VALUES (?, ?)", zip(pairs[0::2], pairs[1::2]))
print("ready", sqlite3.sqlite_version, (time.perf_counter() - started) * 1000, flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    reached = database.execute(REACH).fetchall()
    print(len(reached) - 1, (time.perf_counter() - started) * 1000, flush=True)
