"""What a `Timeline` looks like to people and to other programs: reports, pages, files."""
