"""Tables: scorecards beside the published numbers, in Markdown, LaTeX, CSV and JSON."""
