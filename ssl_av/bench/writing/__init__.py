"""What a report is written as: a page, Markdown, LaTeX, CSV, a table in the terminal."""
