"""MicroG-4M, the sample set and other folders of the same layout: read, checked, fetched, counted."""
