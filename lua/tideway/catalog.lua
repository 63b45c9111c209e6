--- tideway.catalog -- every name there is, once. A name's descriptor is in the folder of its
-- kind, its spec in the folder of the same name under spec/ (tree_spec checks both).
return {
  op = {
    "map", "starmap", "filter", "remove", "filter_map", "flat_map", "tap", "enumerate",
    "accumulate", "reduce", "frequencies", "flatten", "pluck", "unique", "distinct",
    "slice", "take", "skip", "take_last", "partition", "partition_unique",
    "sliding_window", "collect", "union", "zip", "combine_latest", "zip_latest",
    "decode", "encode",
    "buffer", "rate_limit", "delay", "timed_window", "timed_window_unique", "latest", "map_async",
    "timeout", "to_dataframe", "to_batch", "through",
    "scatter", "gather",
  },
  source = {
    "from_iterable", "from_range", "from_textfile", "filenames",
    "from_periodic", "from_process", "from_tcp", "from_unix", "from_udp",
    "from_http_server", "from_websocket", "input",
    "random_dataframe", "periodic_dataframe", "from_csv", "from_json",
    "from_kafka", "from_kafka_batched", "exactly_once", "from_mqtt",
  },
  sink = { "sink", "sink_to_list", "sink_to_textfile", "print", "to_csv", "to_json", "to_http", "to_kafka", "to_tcp",
    "to_process", "to_mqtt", "to_websocket", "output" },
  codec = { "json", "csv", "logfmt", "combined", "msgpack" },
  agg = {
    "count", "sum", "mean", "min", "max", "var", "std", "median", "quantile", "first", "last",
  },
  -- further names of operators
  alias = { scan = "accumulate", concat = "flatten" },
  -- names of API.md that a later release brings: asked for, they say so
  later = {
    "key_by", "window", "join",
    "left_join", "outer_join", "interval_join", "enrich", "pattern",
    "visualize",
  },
}
