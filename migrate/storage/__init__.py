"""Files, locks, Parquet, DuckDB and synced logs: what knows nothing of snapshots."""
