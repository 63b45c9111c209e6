"""spec/support/pandas_oracle.py -- pandas behind a pipe, for spec/support/pandas.lua.

A line of standard input is a JSON object: {"load": {...}} takes batches of rows,
{"mode": ..., "expr": ...} evaluates an expression over them. A line of standard output is the
answer as a Lua chunk: an array with a result for each batch, or {error = text}.

    batch   d is the batch alone; its rows
    split   d is all rows; the result has as many, and is cut as they came
    each    d is all rows up to and with the batch
    window  the same, only the last n rows of it, or those of the last value seconds;
            "rows": an expression of d for the rows that the window is of

{"json": path, "kinds": name -> type} reads lines of JSON with Python's json, likewise.
{"csv": path, "sep": ..., "types": name -> type or null} reads a file with read_csv; the answer is
{columns = names, data = name -> cells}, or {refused = text} when pandas does not take it.
"""
import json
import math
import sys
import traceback
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
MISSING = '"\\0"'
EXACT = 2 ** 53


# Values as Lua text ------------------------------------------------------------------------

def text(s):
    return '"' + "".join("\\%03d" % b if b < 32 or b > 126 or b in b'"\\' else chr(b)
                         for b in s.encode("utf-8", "surrogateescape")) + '"'


def cell(x):
    if x is None or x is pd.NaT or isinstance(x, float) and math.isnan(x):
        return MISSING
    if isinstance(x, str):
        return text(x)
    if isinstance(x, pd.Timestamp):
        return '"t:%d"' % x.value
    if isinstance(x, (bool, np.bool_)):
        return "1" if x else "0"
    if isinstance(x, (int, np.integer)):
        return str(x) if abs(x) <= EXACT else '"i:%d"' % x
    x = float(x)
    return "1e999" if x == math.inf else "-1e999" if x == -math.inf else repr(x)


def array(values):
    return "{" + ",".join(cell(x) for x in values) + "}"


def key(x):
    if isinstance(x, str):
        return text("s:" + x)
    if isinstance(x, pd.Timestamp):
        x = x.value / 1e9
    return text("n:%.17g" % (x if x != 0 else 0.0))


def frame(f):
    columns = list(f.columns)
    index = f.index.name
    data = ["[%s]=%s" % (text(c), array(f[c])) for c in columns]
    return "{columns={%s},data={%s}%s}" % (
        ",".join(text(c) for c in columns), ",".join(data),
        "" if index is None else ",index=%s,at=%s" % (text(index), array(f.index)))


def result(x, rows):
    if isinstance(x, pd.Series) and rows:
        return frame(x.to_frame(x.name if x.name is not None else "value"))
    if isinstance(x, pd.DataFrame):
        return frame(x)
    if isinstance(x, pd.Series):
        x = x.to_dict()
        return "{" + ",".join("[%s]=%s" % (text(k), cell(v)) for k, v in x.items()) + "}"
    if isinstance(x, dict):
        return "{" + ",".join("[%s]=%s" % (key(k), cell(v)) for k, v in x.items()) + "}"
    return cell(x)


# What expressions use ------------------------------------------------------------------------

def num(d):
    """The columns that there is something to calculate with in."""
    return d[[c for c in d.columns if d[c].dtype.kind in "fib"]]


def G(d, by, cols, op, **kw):
    """A group-by as a frame: keys first, then the columns; a series as a key is called key."""
    by = by if isinstance(by, list) else [by]
    keys = [k if isinstance(k, str) else k.rename(k.name if k.name in NAMES else "key") for k in by]
    names = [k if isinstance(k, str) else k.name for k in keys]
    if len(set(names)) < len(names):
        raise ValueError("keys of one name")
    made = pd.DataFrame(index=d.index)
    plain = []
    for i, k in enumerate(keys):
        made["\1%d" % i] = d[k] if isinstance(k, str) else k
        plain.append("\1%d" % i)
    if op == "size":
        out = made.groupby(plain).size().rename("size").to_frame()
    else:
        if cols is None:
            cols = [c for c in d.columns if c not in names]
        cols = cols if isinstance(cols, list) else [cols]
        if op != "count":
            cols = [c for c in cols if c in num(d).columns]
        for c in cols:
            made[c] = d[c]
        out = getattr(made.groupby(plain)[cols], op)(**kw)
    out = out.reset_index()
    out.columns = names + list(out.columns[len(names):])
    return out


def GP(d, by, col, op, **kw):
    """A group-by whose groups are reduced one by one, as columns are: pandas' own loses infinities."""
    groups = d[[by, col]].groupby(by)[col]
    if op == "isum":
        return groups.agg(lambda s: sum(int(v) for v in s)).astype(object).reset_index()
    if not len(d):
        return d[[by, col]].iloc[:0].reset_index(drop=True)
    return groups.agg(lambda s: getattr(s, op)(**kw)).reset_index()


def VC(s):
    return s.value_counts().to_dict()


def nanoseconds(index):
    """The index in nanoseconds from its least value, so that doubles are exact; what is missing."""
    gone = index.isna()
    if index.dtype.kind == "M":
        least = index.asi8[~gone].min() if not gone.all() else 0
        return (index.asi8 - least).astype(float), gone
    return index.to_numpy(dtype=float) * 1e9, gone


OPS = {
    "sum": lambda w: w.sum(), "mean": lambda w: w.mean() if len(w) else math.nan,
    "min": lambda w: w.min() if len(w) else math.nan,
    "max": lambda w: w.max() if len(w) else math.nan,
    "median": lambda w: np.median(w) if len(w) else math.nan,
}


def roll_one(w, op, param, min_periods):
    """One window: its values, those that are missing too."""
    held = w[~np.isnan(w)]
    if op == "count":
        return float(len(held)) if len(w) >= min_periods else math.nan
    if len(held) < min_periods:
        return math.nan
    if op in ("var", "std"):
        if len(held) - param <= 0:
            return math.nan
        v = ((held - held.mean()) ** 2).sum() / (len(held) - param)
        return v if op == "var" else math.sqrt(v)
    if op == "quantile":
        return np.quantile(held, param) if len(held) else math.nan
    return OPS[op](held)


def rolled(column, op, param, n, seconds, min_periods, index):
    values = column.to_numpy(dtype=float)
    if op != "count":  # as pandas does
        values = np.where(np.isinf(values), np.nan, values)
    out = np.full(len(values), np.nan)
    if n:
        for i in range(len(values)):
            out[i] = roll_one(values[max(0, i - n + 1):i + 1], op, param, min_periods)
        return out
    when, gone = nanoseconds(index)
    newest = -math.inf
    for i in range(len(values)):
        if gone[i]:
            continue
        newest = max(newest, when[i])
        low = newest - seconds * 1e9
        here = (when[:i + 1] > low) & (when[:i + 1] <= when[i]) & ~gone[:i + 1]
        here[i] = True  # also a row that is too late for any other
        out[i] = roll_one(values[:i + 1][here], op, param, min_periods)
    return out


def ROLL(d, op, n=None, seconds=None, min_periods=None, param=1):
    """rolling(n) or rolling(seconds): pandas' own where it takes the index, and always by hand,
    window by window, which also knows late rows and does not lose digits."""
    if min_periods is None:
        min_periods = n if n else 1
    f = num(d) if isinstance(d, pd.DataFrame) else d.to_frame(d.name)
    out = pd.DataFrame({c: rolled(f[c], op, param, n, seconds, min_periods, f.index) for c in f.columns},
                       index=f.index, columns=f.columns)
    when, gone = nanoseconds(f.index)
    if len(f) and (n or not gone.any() and (np.diff(when) >= 0).all()):
        p = f.copy()
        if not n:
            p.index = pd.to_datetime(when.astype("int64"))
        r = p.rolling(n if n else pd.Timedelta(seconds, "s"), min_periods=min_periods)
        if op in ("var", "std"):
            q = getattr(r, op)(ddof=param)
        elif op == "quantile":
            q = r.quantile(param)
        else:
            q = getattr(r, op)()
        if not np.isinf(f.to_numpy(dtype=float)).any():
            scale = np.nanmax(np.abs(f.to_numpy(dtype=float)), initial=1.0)
            if not np.allclose(q.to_numpy(dtype=float), out.to_numpy(dtype=float), rtol=1e-6,
                               atol=1e-6 * scale * scale, equal_nan=True):
                raise AssertionError("by hand %s, pandas %s" % (out, q))
    return out if isinstance(d, pd.DataFrame) else out[d.name]


def EWM(d, **kw):
    f = d if isinstance(d, pd.Series) else num(d)
    if len(f):
        return f.ewm(**kw).mean().iloc[-1]
    return math.nan if isinstance(d, pd.Series) else pd.Series({c: math.nan for c in f.columns})


# Batches -----------------------------------------------------------------------------------------

ALL, ENDS, NAMES = pd.DataFrame(), [], []


def column(values, kind, exact):
    if kind == "string":
        return np.array(values, dtype=object)
    if kind == "timestamp":
        return np.array(["NaT" if v is None else int(Fraction(v) * 10 ** 9) for v in values], dtype="datetime64[ns]")
    if exact and kind == "i64":
        return np.array(values, dtype="int64")
    return np.array([math.nan if v is None else v for v in values], dtype=float)


def load(request):
    global ALL, ENDS, NAMES
    types, index, batches = request["types"], request.get("index"), request["batches"]
    NAMES = request["columns"]
    made, ENDS = {}, []
    for name in NAMES + ([index] if index else []):
        made[name] = column([v for data in batches for v in data[name]], types[name], request.get("exact"))
    at = pd.Index(made.pop(index), name=index) if index else None
    ALL = pd.DataFrame(made, columns=NAMES, index=at)
    for data in batches:
        ENDS.append((ENDS[-1] if ENDS else 0) + len(data[NAMES[0]]))


def window(d, request):
    if request.get("n"):
        return d.iloc[-request["n"]:]
    when, gone = nanoseconds(d.index)
    d, when = d[~gone], when[~gone]
    if len(d) == 0:
        return d
    order = np.argsort(when, kind="stable")
    return d.iloc[order[when[order] > when.max() - request["value"] * 1e9]]


def evaluate(request):
    code = compile(request["expr"], "expr", "eval")
    rows = compile(request.get("rows") or "d", "rows", "eval")

    def of(d):
        return eval(code, dict(globals(), d=d))
    mode = request["mode"]
    out, starts = [], [0] + ENDS
    if mode == "batch":
        for start, end in zip(starts, ENDS):
            out.append(result(of(ALL.iloc[start:end]), True))
    elif mode == "split":
        x = of(ALL)
        if len(x) != len(ALL):
            raise ValueError("%d rows of %d" % (len(x), len(ALL)))
        for start, end in zip(starts, ENDS):
            out.append(result(x.iloc[start:end], True))
    else:
        for end in ENDS:
            d = eval(rows, dict(globals(), d=ALL.iloc[:end]))
            out.append(result(of(window(d, request) if mode == "window" else d), False))
    return "{" + ",".join(out) + "}"


# Files -------------------------------------------------------------------------------------------

DTYPES = {"f64": "float64", "i64": str, "bool": "boolean", "string": str, "timestamp": str}


def moment(x):
    if not isinstance(x, str):
        return None
    t = pd.Timestamp(x)
    return t.tz_convert("UTC").tz_localize(None) if t.tz else t


def read_csv(request):
    types, kinds = request.get("types") or None, request.get("kinds") or {}
    missing = {name: ["", "nan"] if t == "f64" else [""] for name, t in kinds.items()}
    try:
        f = pd.read_csv(request["csv"], sep=request["sep"], keep_default_na=False, na_values=missing,
                        float_precision="round_trip", low_memory=False,
                        dtype=types and {name: DTYPES[t] for name, t in types.items()},
                        on_bad_lines="skip" if request.get("skip") else "error")
    except (ValueError, pd.errors.ParserError) as e:
        return "{refused=%s}" % text(str(e))
    columns = []
    for name in f.columns:
        values = [None if x is pd.NA else x for x in f[name].tolist()]
        if kinds.get(name) == "timestamp":
            values = [moment(x) for x in values]
        if kinds.get(name) == "i64":
            values = [int(x) if isinstance(x, str) else x for x in values]
        columns.append("[%s]=%s" % (text(name), array(values)))
    return "{columns=%s,data={%s}}" % (array(list(f.columns)), ",".join(columns))


def read_json(request):
    columns = {name: [] for name in request["kinds"]}
    with open(request["json"], encoding="utf-8", newline="\n") as lines:
        for line in lines:
            if line.strip():
                row = json.loads(line)
                for name, cells in columns.items():
                    cells.append(row.get(name))
    for name, kind in request["kinds"].items():
        if kind in ("f64", "i64"):
            of = float if kind == "f64" else int
            columns[name] = [of(x) if x is not None else None for x in columns[name]]
        if kind == "timestamp":
            columns[name] = [moment(x) for x in columns[name]]
    return "{data={%s}}" % ",".join("[%s]=%s" % (text(name), array(cells)) for name, cells in columns.items())


def main():
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if "load" in request:
                load(request["load"])
                answer = "{}"
            elif "csv" in request:
                answer = read_csv(request)
            elif "json" in request:
                answer = read_json(request)
            else:
                answer = evaluate(request)
        except Exception:
            answer = "{error=%s}" % text(traceback.format_exc(limit=-4))
        sys.stdout.write("return " + answer + "\n")
        sys.stdout.flush()


main()
