"""Min, mean and max of each station of a file station;temperature: read_csv and groupby."""
import sys

import pandas as pd

data = pd.read_csv(sys.argv[1], sep=";", header=None, names=["station", "temp"])
for name, low, mean, high, count in data.groupby("station").temp.agg(["min", "mean", "max", "count"]).itertuples():
    print("%s;%.1f;%.3f;%.1f;%d" % (name, low, mean, high, count))
