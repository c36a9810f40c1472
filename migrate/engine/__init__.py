"""The same work on a Dask cluster: an executor for what runs side by side. It knows nothing of what the work is."""
