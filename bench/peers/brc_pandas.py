"""Min, mean and max of each station of a file station;temperature: read_csv and groupby."""
import sys

import pandas as pd

data = pd.read_csv(sys.argv[1], sep=";", header=None, names=["station", "temp"])
for name, low, mean, high in data.groupby("station").temp.agg(["min", "mean", "max"]).itertuples():
    print("%s;%.1f;%.3f;%.1f" % (name, low, mean, high))
