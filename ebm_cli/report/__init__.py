"""Reports for people: the page of a run, and the table, the picture and the page of a sweep."""
